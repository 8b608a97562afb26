// Made by rawbpf 0.1.0 of rewrite.o. Do not change it: make it again.

/// The object file.
pub static OBJECT: &[u8] = include_bytes!("../../bpf/rewrite.o");

/// What the object is called.
pub const NAME: &str = "rewrite";

/// The object before it is loaded: variables can be set, and everything else of it changed.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Builder {
    /// As it was read.
    pub object: rawbpf::Object,
    /// How it is loaded.
    pub options: rawbpf::Options,
}

#[allow(dead_code)]
impl Builder {
    /// Reads the object.
    pub fn open() -> Result<Builder, rawbpf::Error> {
        Ok(Builder { object: rawbpf::Object::parse(NAME, OBJECT)?, options: rawbpf::Options::default() })
    }

    /// Sets `const volatile char bpf_metadata_author[7]` (.rodata).
    pub fn set_bpf_metadata_author(&mut self, value: &[i8; 7]) -> Result<&mut Builder, rawbpf::Error> {
        self.object.global("bpf_metadata_author")?.set_bytes(rawbpf::maps::Plain::bytes(value))?;
        Ok(self)
    }

    /// Sets `const volatile int bpf_metadata_version` (.rodata).
    pub fn set_bpf_metadata_version(&mut self, value: &i32) -> Result<&mut Builder, rawbpf::Error> {
        self.object.global("bpf_metadata_version")?.set_bytes(rawbpf::maps::Plain::bytes(value))?;
        Ok(self)
    }

    /// Sets `const volatile __u32 answer_with` (.rodata).
    pub fn set_answer_with(&mut self, value: &u32) -> Result<&mut Builder, rawbpf::Error> {
        self.object.global("answer_with")?.set_bytes(rawbpf::maps::Plain::bytes(value))?;
        Ok(self)
    }

    /// Sets `__u64 frames_seen` (.bss).
    pub fn set_frames_seen(&mut self, value: &u64) -> Result<&mut Builder, rawbpf::Error> {
        self.object.global("frames_seen")?.set_bytes(rawbpf::maps::Plain::bytes(value))?;
        Ok(self)
    }

    /// Sets `__u16 last_protocol` (.data).
    pub fn set_last_protocol(&mut self, value: &u16) -> Result<&mut Builder, rawbpf::Error> {
        self.object.global("last_protocol")?.set_bytes(rawbpf::maps::Plain::bytes(value))?;
        Ok(self)
    }

    /// Loads it on this machine's kernel.
    pub fn load(self) -> Result<Rewrite, rawbpf::Error> {
        self.load_on(&rawbpf::Kernel::host())
    }

    /// Loads it, with what is known of the kernel already.
    pub fn load_on(self, kernel: &rawbpf::Kernel) -> Result<Rewrite, rawbpf::Error> {
        Rewrite::take(self.object.plan(kernel, &self.options)?.run()?)
    }
}

/// The object, loaded. Dropping it detaches what it attached.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Rewrite {
    /// What is attached; first, so that it is detached before anything else goes.
    pub links: Links,
    /// The programs.
    pub programs: Programs,
    /// The maps.
    pub maps: Maps,
    /// The variables that change while programs run.
    pub variables: Variables,
}

/// The programs.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Programs {
    /// `SEC("xdp")`
    pub swap_frame_addresses: rawbpf::Program,
    /// `SEC("xdp")`
    pub pass_frames: rawbpf::Program,
}

/// The maps.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Maps {
    /// `senders_by_address`
    pub senders_by_address: rawbpf::maps::HashMap<types::Sender, types::Seen>,
}

/// The variables that change while programs run.
#[derive(Debug)]
#[allow(dead_code)]
pub struct Variables {
    /// `__u64 frames_seen`
    pub frames_seen: rawbpf::maps::Variable<u64>,
    /// `__u16 last_protocol`
    pub last_protocol: rawbpf::maps::Variable<u16>,
}

/// What is attached, by program.
#[derive(Debug, Default)]
#[allow(dead_code)]
pub struct Links {
    /// The link of `swap_frame_addresses`.
    pub swap_frame_addresses: Option<rawbpf::Link>,
    /// The link of `pass_frames`.
    pub pass_frames: Option<rawbpf::Link>,
}

#[allow(dead_code)]
impl Rewrite {
    /// Takes what was loaded apart.
    fn take(loaded: rawbpf::Loaded) -> Result<Self, rawbpf::Error> {
        let section_bss = rawbpf::maps::Section::new(rawbpf::skeleton::map(&loaded, ".bss")?);
        let section_data = rawbpf::maps::Section::new(rawbpf::skeleton::map(&loaded, ".data")?);
        let maps = Maps {
            senders_by_address: rawbpf::skeleton::map(&loaded, "senders_by_address")?.try_into()?,
        };
        let variables = Variables {
            frames_seen: section_bss.variable(0)?,
            last_protocol: section_data.variable(0)?,
        };
        let mut list = loaded.into_parts().1;
        let programs = Programs {
            swap_frame_addresses: rawbpf::skeleton::program(&mut list, "swap_frame_addresses")?,
            pass_frames: rawbpf::skeleton::program(&mut list, "pass_frames")?,
        };
        Ok(Self { links: Links::default(), programs, maps, variables })
    }

    /// Attaches the programs whose sections say to what. The others keep an empty link: attach them with
    /// [`rawbpf::attach`].
    pub fn attach(&mut self) -> Result<(), rawbpf::Error> {
        let kernel = rawbpf::Kernel::host();
        if self.links.swap_frame_addresses.is_none() {
            self.links.swap_frame_addresses = rawbpf::links::auto(&kernel, &self.programs.swap_frame_addresses)?;
        }
        if self.links.pass_frames.is_none() {
            self.links.pass_frames = rawbpf::links::auto(&kernel, &self.programs.pass_frames)?;
        }
        Ok(())
    }
}

/// The types of keys, values and variables, as the object has them.
#[allow(missing_docs, dead_code, non_upper_case_globals, clippy::all)]
pub mod types {
    rawbpf::plain! {
        /// `struct sender`
        #[derive(Debug, PartialEq)]
        pub struct Sender {
            pub address: [u8; 6],
            pub protocol: u16,
        }
    }
    const _: () = {
        assert!(::core::mem::size_of::<Sender>() == 8);
        assert!(::core::mem::offset_of!(Sender, address) == 0);
        assert!(::core::mem::offset_of!(Sender, protocol) == 6);
    };

    rawbpf::plain! {
        /// `enum verdict`
        #[derive(Debug, PartialEq, Eq, Hash)]
        pub struct Verdict { pub value: u32 }
    }
    impl Verdict {
        pub const V_KEPT: Verdict = Verdict { value: 1 };
        pub const V_SENT_BACK: Verdict = Verdict { value: 2 };
    }
    const _: () = assert!(::core::mem::size_of::<Verdict>() == 4);

    rawbpf::plain! {
        /// `struct seen`
        #[derive(Debug, PartialEq)]
        pub struct Seen {
            pub frames: u64,
            pub bytes: u32,
            pub last: Verdict,
        }
    }
    const _: () = {
        assert!(::core::mem::size_of::<Seen>() == 16);
        assert!(::core::mem::offset_of!(Seen, frames) == 0);
        assert!(::core::mem::offset_of!(Seen, bytes) == 8);
        assert!(::core::mem::offset_of!(Seen, last) == 12);
    };

}
