//! One line of the kernel's trace.
//!
//! ```text
//!              curl-3104    [001] d..31   512.410163: bpf_trace_printk: connect to 10.0.0.1
//!   task ──────┘    │          │    │         │              │              └ message
//!   pid ────────────┘          │    │         │              └ the event; `0:` and an address on old kernels
//!   CPU ───────────────────────┘    │         └ seconds since boot, with microseconds
//!   flags: interrupts off, need resched, in interrupt, preemption depth, migration depth
//! ```

/// The program that printed a line, where the kernel's stack trace names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedProgram {
    /// The tag of its instructions, in hex.
    pub tag: String,
    /// Its function's name, cut to 15 letters as the kernel keeps it.
    pub name: String,
}

/// What a program printed with `bpf_printk`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// The task that was running, at most 15 letters; `<...>` if the kernel has forgotten it.
    pub task: String,
    /// Its number.
    pub pid: u32,
    /// The CPU.
    pub cpu: u32,
    /// The state of the CPU in letters, see `Documentation/trace/ftrace.rst`.
    pub flags: String,
    /// Nanoseconds since boot, of the trace's clock.
    pub time_ns: u64,
    /// What was printed.
    pub message: String,
    /// Which program printed it, if that is known.
    pub program: Option<TracedProgram>,
}

impl TraceEvent {
    /// Reads a line of `trace_pipe`; `None` for what is no event of `bpf_trace_printk` (lost events, stack
    /// traces, other tracers' lines).
    ///
    /// ```
    /// use rawbpf::events::TraceEvent;
    /// let line = "          <idle>-0       [001] ..s1.   512.410163: bpf_trace_printk: hello: world";
    /// let event = TraceEvent::parse(line).unwrap();
    /// assert_eq!((event.task.as_str(), event.pid, event.cpu), ("<idle>", 0, 1));
    /// assert_eq!((event.time_ns, event.message.as_str()), (512_410_163_000, "hello: world"));
    /// ```
    pub fn parse(line: &str) -> Option<TraceEvent> {
        // The CPU is the first number in brackets of three digits or more; a task's name may have brackets too.
        let (head, cpu, rest) = split_cpu(line)?;
        let (task, pid) = split_task(head)?;
        let mut words = rest.trim_start().splitn(2, char::is_whitespace);
        let (first, after) = (words.next()?, words.next()?);
        // Without irq-info there are no flags, and the time comes first.
        let (flags, rest) = match first.ends_with(':') {
            true => ("", rest.trim_start()),
            false => (first, after.trim_start()),
        };
        let (time, rest) = rest.split_once(": ")?;
        let (event, message) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
        let printk = event == "bpf_trace_printk" || event.starts_with("0x") || event == "0";
        printk.then_some(())?;
        Some(TraceEvent {
            task: task.trim().into(),
            pid,
            cpu,
            flags: flags.into(),
            time_ns: nanoseconds(time)?,
            message: message.into(),
            program: None,
        })
    }
}

/// What is before the CPU, the CPU, and what is after it.
pub(super) fn split_cpu(line: &str) -> Option<(&str, u32, &str)> {
    let mut from = 0;
    loop {
        let open = from + line.get(from..)?.find('[')?;
        let close = open + line.get(open..)?.find(']')?;
        let digits = line.get(open + 1..close)?;
        if digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Some((line.get(..open)?, digits.parse().ok()?, line.get(close + 1..)?));
        }
        from = open + 1;
    }
}

/// `TASK-PID`, perhaps with a thread group in round brackets behind it.
fn split_task(head: &str) -> Option<(&str, u32)> {
    let head = head.trim_end();
    let head = match head.strip_suffix(')') {
        Some(with_group) => with_group.rsplit_once('(')?.0.trim_end(),
        None => head,
    };
    let (task, pid) = head.rsplit_once('-')?;
    Some((task, pid.parse().ok()?))
}

fn nanoseconds(time: &str) -> Option<u64> {
    let (seconds, fraction) = time.trim().split_once('.')?;
    let scale = 10u64.checked_pow(9u32.checked_sub(fraction.len() as u32)?)?;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000_000)?
        .checked_add(fraction.parse::<u64>().ok()? * scale)
}

/// The CPU, and how many events of it were overwritten: `CPU:1 [LOST 12 EVENTS]`.
pub(super) fn lost_events(line: &str) -> Option<(u32, u64)> {
    let (cpu, rest) = line.trim_start().strip_prefix("CPU:")?.split_once(" [LOST ")?;
    Some((cpu.parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

/// The program in a line of a stack trace: ` => bpf_prog_6deef7357e7b4530_count_packets`.
pub(super) fn program_of_frame(line: &str) -> Option<TracedProgram> {
    let symbol = line.trim_start().strip_prefix("=> ")?.trim();
    let symbol = symbol.split(['+', ' ']).next()?;
    let (tag, name) = symbol.strip_prefix("bpf_prog_")?.split_at_checked(16)?;
    let hex = tag.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| TracedProgram { tag: tag.into(), name: name.trim_start_matches('_').into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_kernels() {
        // (line, task, pid, flags, message)
        let table = [
            (
                "     ksoftirqd/0-13      [000] d.s3    31.337000: bpf_trace_printk: x",
                "ksoftirqd/0",
                13,
                "d.s3",
                "x",
            ),
            (
                "  my-[99] task-77 (     70) [012] ...11  1.000001: bpf_trace_printk: a: b",
                "my-[99] task",
                77,
                "...11",
                "a: b",
            ),
            ("     <...>-5     [001] .... 9.5: 0: old", "<...>", 5, "....", "old"),
            ("     sh-5     [001] 9.000005: bpf_trace_printk: no flags", "sh", 5, "", "no flags"),
            ("     sh-5     [001] d..2. 9.000005: bpf_trace_printk:", "sh", 5, "d..2.", ""),
        ];
        for (line, task, pid, flags, message) in table {
            let event = TraceEvent::parse(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((event.task.as_str(), event.pid), (task, pid), "{line}");
            assert_eq!((event.flags.as_str(), event.message.as_str()), (flags, message), "{line}");
        }
    }

    #[test]
    fn what_is_no_printk_is_nothing() {
        for line in [
            "",
            "CPU:1 [LOST 12 EVENTS]",
            " => bpf_prog_0123456789abcdef_f",
            "a-1 [000] .... 1.0: sys_enter: x",
        ] {
            assert_eq!(TraceEvent::parse(line), None, "{line}");
        }
    }

    #[test]
    fn frames_name_programs() {
        let found =
            program_of_frame(" => bpf_prog_6deef7357e7b4530_count_packets+0x2a/0x40").expect("a program");
        assert_eq!((found.tag.as_str(), found.name.as_str()), ("6deef7357e7b4530", "count_packets"));
        assert_eq!(program_of_frame(" => bpf_prog_test_run_skb"), None);
        assert_eq!(program_of_frame(" => bpf_prog_run"), None);
    }
}
