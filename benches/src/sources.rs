//! Template sources for the benches of the rewriter.

/// Markup of at least `bytes` bytes with tags of every kind and no cache block. `word` appears
/// in its text every few lines: the rewriter reads a source in full only if it contains "cache".
pub fn without_blocks(bytes: usize, word: &str) -> String {
    let section = format!(
        "<section id=\"s{{{{ loop.index }}}}\">\n\
         {{# a comment with {{% tags %}} and \"quotes\" #}}\n\
         {{% for item in items %}}\n  \
         <article class=\"product{{% if item.new %}} is-new{{% endif %}}\">\n    \
         <h2>{{{{ item.name|upper }}}}</h2>\n    \
         <p>Paper, ink and pens; held in the {word} until Tuesday, and then sent by post.</p>\n    \
         <a href=\"/items/{{{{ item.id }}}}?q={{{{ \"a }}}} b\"|urlencode }}}}\">more</a>\n  \
         </article>\n\
         {{% endfor %}}\n</section>\n"
    );
    let mut source = String::with_capacity(bytes + section.len());
    while source.len() < bytes {
        source.push_str(&section);
    }
    source
}

/// A page of `sections` loops, each with a cache block around a few tags and
/// `paragraphs` paragraphs with one. Returns the page as written, and with a native
/// `if` in place of the cache tags.
pub fn with_blocks(sections: usize, paragraphs: usize) -> (String, String) {
    let paragraph = "    <p>Paper, ink and pens, and what else belongs on a desk of \
                     {{ item.wood }}.</p>\n"
        .repeat(paragraphs);
    let page = |open: &str, close: &str| {
        let section = format!(
            "<section>\n<h1>{{{{ title }}}}</h1>\n{{% for item in items %}}\n  {open}\n  \
             <article class=\"product{{% if item.new %}} is-new{{% endif %}}\">\n    \
             <h2>{{{{ item.name|upper }}}}</h2>\n    <i>{{{{ item.price }}}}</i>\n\
             {paragraph}  </article>\n  {close}\n{{% endfor %}}\n</section>\n"
        );
        section.repeat(sections)
    };
    (
        page("{% cache 300, \"row\", item.id %}", "{% endcache %}"),
        page("{% if true %}", "{% endif %}"),
    )
}
