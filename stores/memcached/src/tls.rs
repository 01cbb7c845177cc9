//! Certificates, read and checked before connecting.

use std::path::PathBuf;
use std::sync::Arc;

use fragcache::{Error, ErrorKind};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::fault::one_line;

/// PEM text, or a PEM file.
#[derive(Clone)]
pub(super) enum Pem {
    Text(Vec<u8>),
    File(PathBuf),
}

/// The settings of TLS connections.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

impl Tls {
    /// TLS for `host`. Trusts `ca`, or else the machine's authorities, and presents `client`.
    pub(super) fn new(
        host: &str,
        ca: Option<&Pem>,
        client: Option<&(Pem, Pem)>,
    ) -> Result<Self, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            refused("no certificate can contain the server's name; write a host name or an address")
        })?;
        // The provider is explicit, because a program may have another default, or none.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(format!("TLS cannot be set up: {}", one_line(&error))))?
            .with_root_certificates(roots(ca)?);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(chain, "the client's certificate")?;
                let key = private_key(key)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    refused(format!(
                        "the client's certificate and key cannot be used together: {}",
                        one_line(&error)
                    ))
                })?
            }
        };
        Ok(Self { config: Arc::new(config), name })
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

fn roots(ca: Option<&Pem>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(refused(
                "this machine trusts no certificate authority; name one with ca_file",
            ));
        }
        return Ok(roots);
    };
    for certificate in certificates(ca, "the authority's certificate")? {
        roots.add(certificate).map_err(|error| {
            refused(format!("the authority's certificate cannot be used: {}", one_line(&error)))
        })?;
    }
    Ok(roots)
}

fn read<'a>(pem: &'a Pem, what: &str) -> Result<std::borrow::Cow<'a, [u8]>, Error> {
    match pem {
        Pem::Text(text) => Ok(text.into()),
        Pem::File(path) => std::fs::read(path).map(Into::into).map_err(|error| {
            refused(format!(
                "{what} in {} cannot be read: {}; write the path of a PEM file",
                path.display(),
                one_line(&error)
            ))
        }),
    }
}

fn certificates(pem: &Pem, what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(pem, what)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(refused(format!(
            "{what} is not in PEM format; write a text with -----BEGIN CERTIFICATE----- in it"
        ))),
    }
}

fn private_key(pem: &Pem) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(pem, "the client's key")?;
    // The error is dropped, so that no part of the key is shown.
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
        refused(
            "the client's key is not in PEM format, or has a passphrase; write a text with \
             -----BEGIN PRIVATE KEY----- in it",
        )
    })
}
