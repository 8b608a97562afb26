//! The filter's maps: what is blocked, and what was counted.

use std::error::Error;
use std::fmt::Write as _;

use rawbpf::maps::{ElemFlags, Ip4, Ip6, LpmTrie, Map, MapError, PerCpuArray};
use rawbpf::sys::Errno;

use crate::command::Network;

rawbpf::plain! {
    /// `struct count` of the C source.
    #[derive(Debug, Default)]
    pub(crate) struct Count {
        packets: u64,
        bytes: u64,
    }
}

/// The maps, of this process or of another that shares them by their pins.
pub(crate) struct Filter {
    blocked4: LpmTrie<Ip4, Count>,
    blocked6: LpmTrie<Ip6, Count>,
    /// By `enum verdict`: passed, dropped, invalid.
    totals: PerCpuArray<Count>,
}

impl Filter {
    /// Finds the maps by their names. That they are what they are taken for is checked here, once.
    pub(crate) fn new(map: impl Fn(&str) -> Result<Map, Box<dyn Error>>) -> Result<Filter, Box<dyn Error>> {
        Ok(Filter {
            blocked4: map("blocked4")?.try_into()?,
            blocked6: map("blocked6")?.try_into()?,
            totals: map("totals")?.try_into()?,
        })
    }

    pub(crate) fn maps(&self) -> [&Map; 3] {
        [self.blocked4.map(), self.blocked6.map(), self.totals.map()]
    }

    pub(crate) fn block(&self, network: Network) -> Result<String, Box<dyn Error>> {
        let (new, zero) = (ElemFlags::NOEXIST, Count::default());
        let set = match &network {
            Network::V4(net) => self.blocked4.set_with(net, &zero, new),
            Network::V6(net) => self.blocked6.set_with(net, &zero, new),
        };
        match set {
            Ok(()) => Ok(format!("{network} is blocked")),
            Err(MapError::Sys { source, .. }) if source.errno == Errno::EEXIST => {
                Err(format!("{network} is blocked already").into())
            }
            Err(e) => Err(e.into()),
        }
    }

    pub(crate) fn unblock(&self, network: Network) -> Result<String, Box<dyn Error>> {
        let was_there = match &network {
            Network::V4(net) => self.blocked4.delete(net)?,
            Network::V6(net) => self.blocked6.delete(net)?,
        };
        match was_there {
            true => Ok(format!("{network} is no longer blocked")),
            false => Err(format!("{network} is not blocked; `list` shows what is").into()),
        }
    }

    /// A line for each network that is blocked, in the order of the addresses.
    pub(crate) fn list(&self) -> Result<String, Box<dyn Error>> {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        self.blocked4.for_each(|net, count| four.push((net, count)))?;
        self.blocked6.for_each(|net, count| six.push((net, count)))?;
        four.sort_by_key(|(net, _)| (net.data, net.bits));
        six.sort_by_key(|(net, _)| (net.data, net.bits));
        let four = four.into_iter().map(|(net, count)| (Network::V4(net), count));
        let six = six.into_iter().map(|(net, count)| (Network::V6(net), count));
        let rows: Vec<_> = four.chain(six).collect();
        if rows.is_empty() {
            return Ok("nothing is blocked".into());
        }
        let mut out = format!("{:<32}  {:>10}  {:>12}", "BLOCKED", "PACKETS", "BYTES");
        for (network, Count { packets, bytes }) in rows {
            write!(out, "\n{network:<32}  {packets:>10}  {bytes:>12}")?;
        }
        Ok(out)
    }

    /// All packets by what became of them.
    pub(crate) fn stats(&self) -> Result<String, Box<dyn Error>> {
        let mut packets = [0; 3];
        for (sum, counts) in packets.iter_mut().zip(self.totals.read_all()?) {
            *sum = counts.iter().map(|count| count.packets).sum::<u64>();
        }
        let [passed, dropped, invalid] = packets;
        let total = passed + dropped + invalid;
        let percent = |n: u64| n as f64 * 100.0 / total.max(1) as f64;
        Ok(format!(
            "total {total}, passed {passed} ({:.1}%), dropped {dropped} ({:.1}%), invalid {invalid} ({:.1}%)",
            percent(passed),
            percent(dropped),
            percent(invalid),
        ))
    }
}
