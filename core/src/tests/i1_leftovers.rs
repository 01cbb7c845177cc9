//! I1 in renders without an enclosing scope: opening a fragment abandons an open one of the same
//! place on this thread, whose output still counts for the fragments around it.

use super::{Block, Plain, Rig, block, rig};
use crate::engine::{Body, Opened, OutputMode, Scalar, Ticket};
use crate::fragment_key;

/// Opens the fragment `name` in a render without an enclosing scope.
fn open(rig: &Rig, name: &str) -> Ticket {
    let block: Block = block(name, "page.html", "");
    let arguments = [Scalar::Int(60), Scalar::Str(name)];
    let mut rendering = Plain { mode: OutputMode::HTML, bounded: false, point: None };
    match block.open_as(&rig.cache, &arguments, &mut rendering) {
        Opened::Render(ticket) => ticket,
        Opened::Hit(markup) => panic!("{name} is stored: {markup}"),
    }
}

fn stored(rig: &Rig, name: &str) -> bool {
    rig.cache.contains(&fragment_key!(name)).unwrap()
}

#[test]
fn i1_a_fragment_inside_itself_has_the_dependencies_of_both() {
    let rig = rig();
    let page = open(&rig, "page");
    let tree = open(&rig, "tree");
    rig.say("row", "row");
    open(&rig, "tree").close(Body::from("branch"));
    tree.close(Body::from("row branch"));
    page.close(Body::from("row branch"));
    assert!(stored(&rig, "page"));
    rig.delete("row");
    assert!(!stored(&rig, "page"));
}

#[test]
fn i1_a_fragment_depends_on_output_before_a_failed_inner_one() {
    let rig = rig();
    let page = open(&rig, "page");
    open(&rig, "box").into_id();
    rig.say("row", "row");
    open(&rig, "box").close(Body::from("box"));
    page.close(Body::from("row box"));
    assert!(stored(&rig, "page"));
    rig.delete("row");
    assert!(!stored(&rig, "page"));
}
