//! Where an XDP program runs.

/// In which place an XDP program is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// In the driver if it can, else in the stack.
    #[default]
    Auto,
    /// In the driver, or not at all.
    #[doc(alias = "XDP_FLAGS_DRV_MODE")]
    Native,
    /// In the stack: every interface can, at the cost of speed.
    #[doc(alias = "XDP_FLAGS_SKB_MODE")]
    Generic,
    /// In the network card.
    #[doc(alias = "XDP_FLAGS_HW_MODE")]
    Offloaded,
}

impl XdpMode {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            XdpMode::Auto => "auto",
            XdpMode::Native => "native",
            XdpMode::Generic => "generic",
            XdpMode::Offloaded => "offloaded",
        }
    }

    /// `XDP_FLAGS_*`.
    pub fn flags(self) -> u32 {
        match self {
            XdpMode::Auto => 0,
            XdpMode::Generic => 1 << 1,
            XdpMode::Native => 1 << 2,
            XdpMode::Offloaded => 1 << 3,
        }
    }
}
