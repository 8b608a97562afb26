//! Loads an object by the code that was made of it, runs its program, and reads what it counted.

mod rewrite {
    include!(concat!(env!("OUT_DIR"), "/rewrite.rs"));
}

use rewrite::types::{Sender, Verdict};

/// What the program is for; the loaded object is a plain part of it.
struct Service {
    rewrite: rewrite::Rewrite,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = rewrite::Builder::open()?;
    builder.set_answer_with(&1)?.set_frames_seen(&40)?;
    let mut service = Service { rewrite: builder.load()? };
    service.rewrite.attach()?;

    let mut frame = vec![0u8; 64];
    frame[6] = 2;
    let run = rawbpf::sys::TestRun { data: frame, repeat: 2, ..Default::default() };
    let verdict = service.rewrite.programs.swap_frame_addresses.test_run(&run)?.retval;
    assert_eq!(verdict, 1, "XDP_DROP, as it was set");

    let sender = Sender { address: [2, 0, 0, 0, 0, 0], protocol: 0 };
    let seen = service.rewrite.maps.senders_by_address.get(&sender)?.ok_or("the sender was not seen")?;
    assert_eq!((seen.bytes, seen.last), (64, Verdict::V_SENT_BACK));
    println!("{} frames", service.rewrite.variables.frames_seen.get()?);
    Ok(())
}
