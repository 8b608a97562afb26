//! The grammar of `rawbpf events`, `trace` and `stack`.

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct EventsArgs {
    /// A ring buffer or a perf event array: NAME, `id N`, or the path of its pin
    #[arg(required_unless_present = "drops", num_args = 1..=2, value_name = "MAP")]
    map: Vec<String>,
    /// The type of the events, as in `struct event` or `event`; found by itself if the object's types say
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) ty: Option<String>,
    /// Stop after so many events
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
    /// Print the bytes, whatever their type
    #[arg(long, conflicts_with = "ty")]
    pub(crate) hex: bool,
    /// A map in which the program counts what it could not send: the sum of its numbers is reported at the end
    #[arg(long, num_args = 1..=2, value_name = "MAP")]
    drops: Vec<String>,
    /// Exit with status 1 if events were lost
    #[arg(long)]
    pub(crate) fail_on_loss: bool,
    /// Pages of memory for each CPU, for perf event arrays; a power of two
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) pages: usize,
}

impl EventsArgs {
    /// The words of the map of events, and those of the map that counts drops. A map is one word or `id N`, so a
    /// second word behind `--drops NAME` is the first of the other map.
    pub(crate) fn maps(&self) -> (Vec<String>, Option<Vec<String>>) {
        match self.drops.as_slice() {
            [] => (self.map.clone(), None),
            [name, next] if name != "id" => {
                let events = std::iter::once(next).chain(&self.map).cloned().collect();
                (events, Some(vec![name.clone()]))
            }
            drops => (self.map.clone(), Some(drops.to_vec())),
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TraceArgs {
    /// Stop after so many lines
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Stop after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
    /// Only what programs of this name print (the first 15 letters count)
    #[arg(long, value_name = "NAME")]
    pub(crate) program: Option<String>,
    /// Read the machine's one trace instead of a buffer of one's own: takes the lines away from other readers, and
    /// does not know the programs
    #[arg(long, conflicts_with = "program")]
    pub(crate) global: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct StackArgs {
    /// A map of stack traces, and the ids of traces; all of them if there is none
    #[arg(required = true, num_args = 1.., value_names = ["MAP", "ID"])]
    pub(crate) words: Vec<String>,
    /// The process that user-space addresses belong to
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}
