// SPDX-License-Identifier: MIT OR Apache-2.0
// The "kernel" for core_kinds.o: types of the same names, laid out differently.
enum colour { BLUE, GREEN = 7, RED = 9 };
enum wide { FAR = 0x700000000ULL };
struct inner { short b; int a; };
struct s {
	long before;
	short moved;
	struct {
		struct inner nested[6];
		unsigned long flag : 9, sign : 2;
	};
	long l;
	enum colour colour;
};
typedef int (*callback)(struct s *, int);
struct s *s;
callback c;
enum wide w;
