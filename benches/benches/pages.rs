//! Both pages in both engines and all forms, timed by criterion. The ratios and goals are in the
//! bench `ratios`.

use criterion::{Criterion, criterion_group, criterion_main};
use fragcache_benches::pages::{Engine, Form, Kind, page};

fn pages(criterion: &mut Criterion) {
    for engine in [Engine::MiniJinja, Engine::Tera] {
        for kind in [Kind::W1, Kind::W2] {
            let mut group = criterion.benchmark_group(format!("{engine:?}/{kind:?}"));
            for (name, form) in [
                ("empty", Form::Empty),
                ("native", Form::Native),
                ("cached", Form::Cached("300")),
                ("cached-never-expires", Form::Cached("none")),
            ] {
                let render = page(engine, kind, form);
                group.bench_function(name, |bencher| bencher.iter(&render));
            }
            group.finish();
        }
    }
}

criterion_group!(benches, pages);
criterion_main!(benches);
