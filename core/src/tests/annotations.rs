//! Comments around fragments, on demand.

use super::{Rig, block, rig, rig_with};
use crate::engine::{Body, Opened, OutputMode, Scalar};
use crate::{Policy, current};

fn print(rig: &Rig, mode: OutputMode, args: &[Scalar<'_>], body: impl FnOnce()) -> String {
    match block("row", "page.html", "").open(&rig.cache, mode, args) {
        Opened::Hit(text) => text,
        Opened::Render(ticket) => {
            body();
            let closed = ticket.close(Body::from("<p>"));
            closed.instead.map_or("<p>".to_owned(), |body| body.as_str().to_owned())
        }
    }
}

const ROW: [Scalar<'static>; 3] = [Scalar::Int(60), Scalar::Str("row"), Scalar::Str("<b>--")];
const NAMED: &str = r#"row(&quot;&lt;b&gt;-&#45;&quot;)"#;

#[test]
fn an_annotated_page_explains_each_fragment() {
    let rig = rig();
    rig.cache.annotate(true).unwrap();
    let html = |body: &dyn Fn()| print(&rig, OutputMode::HTML, &ROW, body);
    let around =
        |state: &str| format!("<!-- fragcache {NAMED}: {state} --><p><!-- /fragcache {NAMED} -->");
    let tagged = || current::add_tags(["<tag>"]).unwrap();
    assert_eq!(html(&tagged), around("miss: cold; stored"));
    assert_eq!(html(&|| {}), around("hit, expires in 60 s"));
    rig.cache.invalidate_tags(["<tag>"]).unwrap().eventually();
    assert_eq!(
        html(&current::veto),
        around("miss: tag_invalidated &lt;tag&gt;; not stored: vetoed")
    );
    assert_eq!(html(&tagged), around("miss: vetoed; bypassed: unshared; stored"));
    assert_eq!(print(&rig, OutputMode::RAW, &ROW, || {}), "<p>", "not where it could be seen");
}

#[test]
fn an_annotated_body_is_never_served_as_a_plain_one() {
    let rig = rig();
    let html = || print(&rig, OutputMode::HTML, &ROW, || {});
    assert_eq!(html(), "<p>");
    rig.cache.annotate(true).unwrap();
    assert!(html().contains("miss: output_mode"), "nor a plain one as an annotated one");
    rig.cache.annotate(false).unwrap();
    assert_eq!(html(), "<p>");
    // A page that contains annotated fragments and is not annotated itself.
    let page = || rig.cache.render(super::fragment("page"), html).unwrap().to_string();
    rig.cache.annotate(true).unwrap();
    assert!(page().contains("<!--"));
    rig.cache.annotate(false).unwrap();
    assert_eq!(page(), "<p>");
}

#[test]
fn a_release_build_annotates_only_where_the_policy_allows_it() {
    let allowed = rig_with(|builder| builder.policy(Policy::default().annotations(true)));
    assert!(allowed.cache.annotate(true).is_ok());
    let plain = rig();
    assert_eq!(plain.cache.annotate(true).is_ok(), cfg!(debug_assertions));
    assert!(plain.cache.annotate(false).is_ok());
}
