//! Two ways of doing the same thing, in turns.

use std::time::Duration;

/// The processor time that this thread has used: what a busy machine does beside is not in it.
#[derive(Clone, Copy)]
pub struct CpuTime(Duration);

impl CpuTime {
    pub fn now() -> CpuTime {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call fills `time`, which is live.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        CpuTime(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }

    pub fn elapsed(self) -> Duration {
        CpuTime::now().0 - self.0
    }
}

/// What a race gave.
pub struct Race {
    pub theirs: Duration,
    pub ours: Duration,
    /// The median of the rounds' ratios ours / theirs: what slows the machine down slows a round down, and both in it.
    pub ratio: f64,
}

/// Runs both in turns, so many rounds; each says how long it took. Who is first changes from round to round.
pub fn race<E>(
    rounds: u32,
    mut theirs: impl FnMut() -> Result<Duration, E>,
    mut ours: impl FnMut() -> Result<Duration, E>,
) -> Result<Race, E> {
    let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let (x, y) = match round % 2 {
            0 => (theirs()?, ours()?),
            _ => {
                let y = ours()?;
                (theirs()?, y)
            }
        };
        ratios.push(y.as_secs_f64() / x.as_secs_f64());
        a.push(x);
        b.push(y);
    }
    ratios.sort_by(f64::total_cmp);
    let median = |mut list: Vec<Duration>| {
        list.sort();
        list[list.len() / 2]
    };
    Ok(Race { ratio: ratios[ratios.len() / 2], theirs: median(a), ours: median(b) })
}
