//! The far level against real servers, with real processes.

mod chaos;
mod faults;
mod hostile;
mod many;
mod opaque;
mod process;
mod stale;
mod torture;

use process::Process;

/// Arguments that make a process of this program run [`the_other_side`].
const OTHER_SIDE: [&str; 3] = ["--exact", "far::the_other_side", "--nocapture"];

/// Starts another process, which runs `part`.
fn play(part: &str, given: &[&str]) -> Process {
    Process::start(&OTHER_SIDE, &[&[part], given].concat())
}

/// The entry point of processes that tests start.
#[test]
fn the_other_side() {
    let Some(given) = process::given() else {
        let mut echo = play("echo", &[]);
        assert_eq!(echo.ask("hello"), "hello");
        return;
    };
    let (part, given) = given.split_first().unwrap();
    match part.as_str() {
        "echo" => process::orders().for_each(|order| process::answer(&order)),
        "chaos" => chaos::take_part(given),
        "hold on" => many::hold_on(given),
        "off" => many::off(given),
        "opaque" => opaque::share(given),
        "release" => many::release(given),
        "torture" => stale::take_part(given),
        part => panic!("nobody plays {part}"),
    }
}
