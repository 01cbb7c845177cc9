//! Requests that identify the visitor: private unless the view allows them.

use fragcache::testing::ManualClock;
use fragcache_tower::{AmbiguousCookie, CacheLayer, cookie};
use http::{HeaderName, Request, header};
use proptest::prelude::*;

use crate::support::{Site, cache, get_from_site};

/// A page for the visitor named in this header.
fn page_of(name: &'static str, settings: impl FnOnce(CacheLayer) -> CacheLayer) -> Site {
    Site::new(settings, move |request, _| {
        let who = request.headers().get(name).map(|value| value.to_str().unwrap());
        format!("for {}", who.unwrap_or("all"))
    })
}

/// Headers by which proxies, gateways, single sign-on and clients identify the visitor.
const IDENTITY: &[&str] = &[
    // Clients.
    "authorization",
    "cookie",
    "proxy-authorization",
    "dpop",
    "signature",
    "signature-input",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth-token",
    "x-access-token",
    "x-session-token",
    "x-session-id",
    "private-token",
    "x-vault-token",
    "x-shopify-access-token",
    "x-parse-session-token",
    "ocp-apim-subscription-key",
    "x-rapidapi-key",
    "x-functions-key",
    "x-pin",
    "x-github-otp",
    "x-device-id",
    "x-deviceid",
    "x-visitor-id",
    "x-cart-id",
    "x-client-id",
    "x-plex-client-identifier",
    "x-profile-id",
    "x-permissions",
    "x-msisdn",
    "x-goog-api-key",
    "x-amz-security-token",
    // oauth2-proxy, Authelia, authentik, Pomerium, mod_auth_openidc, Shibboleth, Grafana.
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-preferred-username",
    "x-forwarded-groups",
    "x-forwarded-access-token",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-oauth2-proxy-id-token",
    "remote-user",
    "remote-groups",
    "remote-email",
    "remote-name",
    "x-remote-user",
    "x-authentik-name",
    "x-pomerium-jwt-assertion",
    "x-pomerium-claim-email",
    "oidc_claim_sub",
    "shib-identity-provider",
    "eppn",
    "x-webauth-user",
    "x-user",
    "x-user-id",
    "x-userid",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-email",
    // Clouds and gateways.
    "x-amzn-oidc-identity",
    "x-amzn-oidc-data",
    "cf-access-jwt-assertion",
    "cf-access-authenticated-user-email",
    "cf-access-client-id",
    "x-goog-iap-jwt-assertion",
    "x-goog-authenticated-user-email",
    "x-apigateway-api-userinfo",
    "x-ms-client-principal",
    "x-ms-client-principal-name",
    "x-ms-token-aad-id-token",
    "tailscale-user-login",
    "x-consumer-username",
    "x-credential-identifier",
    "impersonate-user",
    "iv-user",
    "sm_user",
    "x-hasura-role",
    // Certificates of clients.
    "x-forwarded-client-cert",
    "client-cert",
    "ssl-client-subject-dn",
    "x-arr-clientcert",
    "x-ssl-client-cn",
    "x-amzn-mtls-clientcert",
    // Tenants.
    "x-tenant-id",
    "x-tenant",
    "x-account-id",
    "x-company-id",
    "x-team-id",
    "x-customer-number",
    "x-rapidapi-subscription",
    "x-org-id",
    "x-scope-orgid",
];

/// Headers that browsers and proxies send with every request.
const HARMLESS: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "cdn-loop",
    "cf-connecting-ip",
    "cf-ipcountry",
    "cf-ray",
    "connection",
    "device-memory",
    "viewport-width",
    "dnt",
    "early-data",
    "from",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "referer",
    "save-data",
    "sec-ch-ua",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-gpc",
    "te",
    "traceparent",
    "true-client-ip",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-amz-cf-id",
    "x-amzn-trace-id",
    "x-appengine-user-ip",
    "x-b3-traceid",
    "x-client-data",
    "x-client-ip",
    "x-cloudtrace-id",
    "x-device-type",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-csrf-token",
    "x-forwarded-for",
    "x-real-ip",
    "x-ms-client-request-id",
    "x-ping",
    "x-request-id",
    "x-request-start",
    "x-turbo-request-id",
    "x-xsrf-token",
];

#[tokio::test]
async fn i4_requests_that_identify_a_client_are_private() {
    for name in IDENTITY {
        let site = page_of(name, |view| view);
        for who in ["ann", "bob", "ann"] {
            let answer = site.get("/p", &[(name, who)]).await;
            assert_eq!(answer.body, format!("for {who}"), "{name}");
            let told = format!("fragcache; fwd=bypass; detail={name}");
            assert_eq!(answer.header("cache-status"), Some(&*told));
        }
        assert_eq!(site.get("/p", &[]).await.body, "for all", "{name}");
        assert_eq!(site.get("/p", &[(name, "ann")]).await.body, "for ann", "{name}");
        assert_eq!(site.runs.count(), 5, "{name}: that for all is kept");
    }
}

#[tokio::test]
async fn common_headers_make_no_request_private() {
    let site = Site::new(|view| view, |_, run| format!("run {run}"));
    site.get("/p", &[]).await;
    for name in HARMLESS {
        let told = site.get("/p", &[(name, "1")]).await;
        assert_eq!(told.header("cache-status"), Some("fragcache; hit"), "{name}");
    }
}

#[tokio::test]
async fn headers_in_the_key_are_distinct_and_hidden() {
    for name in ["x-api-key", "x-own"] {
        let of = HeaderName::from_static(name);
        let settings = |view: CacheLayer| view.private_headers([OWN]).vary_on([of.clone()]);
        let site = page_of(name, settings);
        for _ in 0..2 {
            for who in ["secret-ann", "secret-bob"] {
                let answer = site.get("/p", &[(name, who)]).await;
                assert_eq!(answer.body, format!("for {who}"));
            }
        }
        assert_eq!(site.runs.count(), 2, "{name}");
        let (parts, ()) =
            get_from_site("/p").header(name, "secret-ann").body(()).unwrap().into_parts();
        let view = settings(CacheLayer::new(&site.cache, "view"));
        let key = view.key_of(&parts).unwrap().to_string();
        assert!(!key.contains("secret"), "{key}");
    }
}

const OWN: HeaderName = HeaderName::from_static("x-own");

#[tokio::test]
async fn a_view_names_its_own_headers_and_those_that_are_harmless() {
    let own = page_of("x-own", |view| view.private_headers([OWN]));
    for who in ["ann", "bob"] {
        let answer = own.get("/p", &[("x-own", who)]).await;
        assert_eq!(answer.body, format!("for {who}"));
        assert_eq!(answer.header("cache-status"), Some("fragcache; fwd=bypass; detail=x-own"));
    }
    let odd = HeaderName::from_static("1st-own");
    let odd = page_of("1st-own", |view| view.private_headers([odd]));
    let told = odd.get("/p", &[("1st-own", "ann")]).await;
    assert_eq!(told.header("cache-status"), Some("fragcache; fwd=bypass; detail=\"1st-own\""));

    let key = HeaderName::from_static("x-api-key");
    let shared = Site::new(|view| view.allow_headers([key.clone()]), |_, run| format!("run {run}"));
    for who in ["ann", "bob"] {
        assert_eq!(shared.get("/p", &[("x-api-key", who)]).await.body, "run 1");
    }
    assert_eq!(
        shared.get("/p", &[("x-api-key", "ann"), ("x-user", "ann")]).await.body,
        "run 2",
        "that one alone"
    );
    // The last call wins.
    let last = page_of("x-own", |view| view.allow_headers([OWN]).private_headers([OWN]));
    for who in ["ann", "bob"] {
        assert_eq!(last.get("/p", &[("x-own", who)]).await.body, format!("for {who}"));
    }
}

#[tokio::test]
async fn i4_a_header_that_is_allowed_and_in_vary_is_kept_apart() {
    let key = HeaderName::from_static("x-api-key");
    let site = Site::new(
        |view| view.allow_headers([key]),
        |request, _| {
            let who = request.headers().get("x-api-key").map(|value| value.to_str().unwrap());
            ([(header::VARY, "x-api-key")], format!("for {}", who.unwrap_or("all")))
        },
    );
    for _ in 0..2 {
        for who in ["ann", "bob"] {
            assert_eq!(site.get("/p", &[("x-api-key", who)]).await.body, format!("for {who}"));
        }
        assert_eq!(site.get("/p", &[]).await.body, "for all");
    }
    assert_eq!(site.runs.count(), 3);
}

/// A page with a theme. It reads the theme as the key function does, or from the only field.
fn themed() -> Site {
    let by_theme = |view: CacheLayer| {
        let key = |parts: &_| Some(cookie(parts, "theme").ok()?.unwrap_or("light").to_owned());
        view.key(key).allow_cookies()
    };
    Site::new(by_theme, |request, _| {
        let fields: Vec<_> = request.headers().get_all(header::COOKIE).iter().collect();
        let all: Vec<_> = fields.iter().map(|field| field.to_str().unwrap()).collect();
        let dark = all.concat().contains("theme=dark");
        format!("{} of {} fields", if dark { "dark" } else { "light" }, fields.len())
    })
}

#[tokio::test]
async fn i4_all_cookie_fields_of_a_request_are_read() {
    let site = themed();
    let dark = site.get("/p", &[("cookie", "a=1"), ("cookie", "theme=dark")]).await;
    assert_eq!(dark.body, "dark of 1 fields", "as a generic application is given them");
    assert_eq!(site.get("/p", &[("cookie", "a=1; theme=light")]).await.body, "light of 1 fields");
    assert_eq!(site.get("/p", &[]).await.body, "light of 1 fields", "no theme is that");
    for _ in 0..2 {
        let two = site.get("/p", &[("cookie", "theme=dark; theme=light")]).await;
        assert_eq!(two.header("cache-status"), Some("fragcache; fwd=bypass; detail=key"));
    }
}

#[tokio::test]
async fn i4_a_key_function_that_reads_one_field_reads_all_cookies() {
    let naive = |view: CacheLayer| {
        let key = |parts: &http::request::Parts| {
            let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?;
            Some(if cookies.contains("theme=dark") { "dark" } else { "light" })
        };
        view.key(key).allow_cookies()
    };
    let site = Site::new(naive, |request, _| {
        let mut fields = request.headers().get_all(header::COOKIE).iter();
        let dark = fields.any(|field| field.to_str().unwrap().contains("theme=dark"));
        if dark { "dark" } else { "light" }
    });
    assert_eq!(site.get("/p", &[("cookie", "a=1"), ("cookie", "theme=dark")]).await.body, "dark");
    assert_eq!(site.get("/p", &[("cookie", "a=1")]).await.body, "light");
    let (parts, ()) = Request::get("/p")
        .header("cookie", "a=1")
        .header("cookie", "theme=dark")
        .body(())
        .unwrap()
        .into_parts();
    let view = naive(CacheLayer::new(&cache(&ManualClock::new()), "view"));
    assert_eq!(view.key_of(&parts).unwrap().to_string(), "view(dark)");
}

/// What cookie parsers find: each field or all of them, decoded or not, quoted or not, the first or
/// the last of a name.
fn readings(fields: &[String], name: &str) -> Vec<Option<String>> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut found = Vec::new();
    for way in 0..16 {
        let (decodes, unquotes, trims, is_last) =
            (way & 1 != 0, way & 2 != 0, way & 4 != 0, way & 8 != 0);
        let read = |text: &str| {
            let text = if trims { text.trim() } else { text };
            let text = if unquotes { text.trim_matches('"') } else { text };
            if decodes { decode(text) } else { text.to_owned() }
        };
        let pairs = fields.iter().flat_map(|field| field.split(';').map(str::trim));
        let mut values = pairs
            .filter_map(|pair| pair.split_once('='))
            .filter(|&(at, _)| read(at) == name)
            .map(|(_, value)| read(value));
        found.push(if is_last { values.next_back() } else { values.next() });
    }
    found
}

proptest! {
    #[test]
    fn i4_a_cookie_is_read_only_where_all_readers_agree(
        fields in prop::collection::vec(
            "((t|u|%74|\"t\"| t)( ?= ?)?(a|b|%61|\"a\"|)(; ?|;;|,)?){0,3}", 0..4),
    ) {
        let mut request = Request::get("/");
        for field in &fields {
            request = request.header(header::COOKIE, field);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        if let Ok(value) = cookie(&parts, "t") {
            for read in readings(&fields, "t") {
                prop_assert_eq!(read.as_deref(), value, "{:?}", fields);
            }
        } else {
            prop_assert_eq!(cookie(&parts, "t"), Err(AmbiguousCookie));
        }
    }
}
