//! Which stack trace of the kernel's trace is whose.
//!
//! An event and its stack trace are two records, written one right after the other on the same CPU. Lines come in the
//! order of time, of all CPUs: so events of other CPUs may stand between the two, and a reader that is fast enough
//! sees the first while the second is still being written.
//!
//! ```text
//!   curl-3104  [001] d..31  512.410163: bpf_trace_printk: a       waits
//!   bash-9     [000] d..31  512.410166: bpf_trace_printk: b       waits behind it
//!   curl-3104  [001] d..31  512.410170: <stack trace>             of a, by its CPU
//!    => bpf_prog_6deef7357e7b4530_connect_v4
//!   bash-9     [000] d..31  512.410171: <stack trace>             a is complete; this is of b
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::trace_line::{TraceEvent, lost_events, program_of_frame, split_cpu};

/// How long after an event its stack trace may come. It takes microseconds, but a virtual machine may lose its CPU
/// just then.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// Events in the order of their lines, those in front complete or not.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    events: VecDeque<(TraceEvent, Stack)>,
    pub(super) lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stack {
    ToCome,
    Begun,
    /// It has been read, or none will come.
    Over,
}

impl Waiting {
    /// Takes a line of the trace.
    pub(super) fn line(&mut self, line: &str) {
        if line.trim_start().starts_with("=> ") {
            let begun = |(_, stack): &&mut (TraceEvent, Stack)| *stack == Stack::Begun;
            // The innermost program is the one that printed.
            match self.events.iter_mut().find(begun) {
                Some((event, _)) if event.program.is_none() => event.program = program_of_frame(line),
                _ => {}
            }
            return;
        }
        self.all_read();
        if let Some(event) = TraceEvent::parse(line) {
            let late = event.time_ns.saturating_sub(GRACE.as_nanos() as u64);
            self.end(|e| e.cpu == event.cpu || e.time_ns < late);
            self.events.push_back((event, Stack::ToCome));
        } else if let Some((cpu, count)) = lost_events(line) {
            self.lost = self.lost.saturating_add(count);
            self.end(|e| e.cpu == cpu);
        } else if let (true, Some((_, cpu, _))) = (line.ends_with("<stack trace>"), split_cpu(line)) {
            let of_cpu = self.events.iter_mut().find(|(e, stack)| e.cpu == cpu && *stack == Stack::ToCome);
            if let Some((_, stack)) = of_cpu {
                *stack = Stack::Begun;
            }
        }
    }

    /// There are no more lines now: what has begun is over, as a record is read whole.
    pub(super) fn all_read(&mut self) {
        for (_, stack) in self.events.iter_mut().filter(|(_, stack)| *stack == Stack::Begun) {
            *stack = Stack::Over;
        }
    }

    /// No stack trace is waited for any longer.
    pub(super) fn give_up(&mut self) {
        self.end(|_| true);
    }

    /// No stack trace comes for these any more.
    fn end(&mut self, these: impl Fn(&TraceEvent) -> bool) {
        for (_, stack) in self.events.iter_mut().filter(|(event, _)| these(event)) {
            *stack = Stack::Over;
        }
    }

    /// The first event, if it is complete.
    pub(super) fn next(&mut self) -> Option<TraceEvent> {
        match self.events.front() {
            Some((_, Stack::Over)) => self.events.pop_front().map(|(event, _)| event),
            _ => None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of these lines: message and program.
    fn events(waiting: &mut Waiting, lines: &[&str]) -> Vec<(String, String)> {
        lines.iter().for_each(|line| waiting.line(line));
        let program = |e: &TraceEvent| e.program.as_ref().map_or("?".into(), |p| p.name.clone());
        std::iter::from_fn(|| waiting.next()).map(|e| (e.message.clone(), program(&e))).collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    const A: &str = "   curl-31  [001] d..31 512.410163: bpf_trace_printk: a";
    const A_STACK: &str = "   curl-31  [001] d..31 512.410170: <stack trace>";
    const A_FRAME: &str = " => bpf_prog_6deef7357e7b4530_of_a";
    const B: &str = "   bash-9   [000] d..31 512.410166: bpf_trace_printk: b";
    const B_STACK: &str = "   bash-9   [000] d..31 512.410171: <stack trace>";
    const B_FRAME: &str = " => bpf_prog_0123456789abcdef_of_b";

    #[test]
    fn a_stack_is_of_its_cpus_event() {
        let mut waiting = Waiting::default();
        let frames = [" => bpf_trace_printk", A_FRAME, " => bpf_prog_6deef7357e7b4530_outer"];
        assert_eq!(events(&mut waiting, &[&[A, B, A_STACK][..], &frames].concat()), []);
        assert_eq!(events(&mut waiting, &[B_STACK, B_FRAME]), pairs(&[("a", "of_a")]));
        waiting.all_read();
        assert_eq!(events(&mut waiting, &[]), pairs(&[("b", "of_b")]));
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_stack_may_come_later() {
        let mut waiting = Waiting::default();
        assert_eq!(events(&mut waiting, &[A]), []);
        waiting.all_read();
        assert_eq!(events(&mut waiting, &[]), [], "it has not begun");
        assert_eq!(events(&mut waiting, &[A_STACK, A_FRAME]), []);
        waiting.all_read();
        assert_eq!(events(&mut waiting, &[]), pairs(&[("a", "of_a")]));
    }

    #[test]
    fn a_stack_that_does_not_come_is_nobodys() {
        // The next event of the CPU, one long after, records that were lost: each ends the waiting.
        let later = "   bash-9   [000] d..31 513.410166: bpf_trace_printk: later";
        for end in [A, later, "CPU:1 [LOST 12 EVENTS]"] {
            let mut waiting = Waiting::default();
            assert_eq!(events(&mut waiting, &[A, end]), pairs(&[("a", "?")]), "{end}");
        }
        let mut waiting = Waiting::default();
        assert_eq!(events(&mut waiting, &[A, "CPU:0 [LOST 5 EVENTS]", A_FRAME]), []);
        assert_eq!(waiting.lost, 5);
        waiting.give_up();
        assert_eq!(events(&mut waiting, &[A_STACK, A_FRAME]), pairs(&[("a", "?")]));
    }

    #[test]
    fn what_a_program_says_is_no_stack() {
        let mut waiting = Waiting::default();
        let says = "   curl-31  [001] d..31 512.410163: bpf_trace_printk: <stack trace>";
        assert_eq!(events(&mut waiting, &[says, A_FRAME, A]), pairs(&[("<stack trace>", "?")]));
    }
}
