//! Sets up TLS as a kubeconfig asks for it: whom to trust, and which client certificate to present.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use kube::config::{AuthInfo, Config};
use rustls::{
    ClientConfig, InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SigningKey, SingleCertAndKey},
};
use secrecy::ExposeSecret;

use super::{
    bounded_file,
    certificate::Certificate,
    kubeconfig::io_problem,
    secret::Secret,
    settings::{Settings, data_or_file},
    trust::{Authorities, Trust},
};

/// The configuration that the connector takes.
pub(super) type Tls = ClientConfig;

/// A client certificate with its key, both in PEM.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    pub certificate: Secret,
    pub key: Secret,
}

/// The client certificate of a user, and the setting that names it; none if there is no complete pair. A key without a
/// certificate is ignored, as in client-go.
pub(super) fn identity(user: &AuthInfo, of: &str) -> Result<Option<(ClientCertificate, String)>, String> {
    let (data, file) = (user.client_certificate_data.as_deref(), user.client_certificate.as_deref());
    let key_data = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
    let certificate = material("client-certificate", data, file)?;
    let key = material("client-key", key_data, user.client_key.as_deref())?;
    let setting = data_or_file("client-certificate", data, file, of);
    Ok(certificate.zip(key).map(|(certificate, key)| (ClientCertificate { certificate, key }, setting)))
}

/// Reads what a field holds, as data or as a file. Errors show neither the path nor the data, because people confuse
/// the two forms.
pub(super) fn material(key: &str, data: Option<&str>, file: Option<&str>) -> Result<Option<Secret>, String> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let dense: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let text = BASE64.decode(&dense).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        return text
            .map(|text| Some(Secret::new(text)))
            .ok_or_else(|| format!("its `{key}-data` is not base64 of PEM"));
    }
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
    let text = bounded_file::read_text(file);
    text.map(|text| Some(Secret::new(text)))
        .map_err(|error| format!("the file that its `{key}` names cannot be read: {}", io_problem(&error)))
}

/// Makes the configuration of rustls; the settings are told which client certificate is presented.
pub(super) fn client_config(
    config: &Config,
    identity: Option<&(ClientCertificate, String)>,
    settings: &mut Settings,
) -> Result<Tls, String> {
    let builder = ClientConfig::builder();
    let provider = Arc::clone(builder.crypto_provider());
    let shown = match identity {
        Some((identity, setting)) => {
            let key = certified(identity, &provider)?;
            let first = key.cert.first().and_then(Certificate::read);
            settings.client_certificate = first.map(|first| (first, setting.clone()));
            Some(key)
        }
        None => None,
    };
    let authorities = if config.accept_invalid_certs {
        Authorities::Nobody
    } else if let Some(bundle) = &config.root_cert {
        let bundle: Vec<_> = bundle.iter().map(|one| CertificateDer::from(one.clone())).collect();
        match &config.root_cert_file {
            Some(path) => Authorities::File(path.clone(), Mutex::new(bundle)),
            None => Authorities::Bundle(bundle),
        }
    } else {
        let system = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
        Authorities::System(
            system.map_err(|_| "this machine trusts no authority, and the kubeconfig names none".to_owned())?,
        )
    };
    let trust = Trust { authorities, settings: Arc::new(settings.clone()), provider };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(trust));
    Ok(match shown {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    })
}

fn certified(identity: &ClientCertificate, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(identity.certificate.expose().as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "the client certificate is not PEM")?;
    if chain.is_empty() {
        return Err("the client certificate is not PEM".to_owned());
    }
    let pem = identity.key.expose();
    if pem.contains("ENCRYPTED") {
        return Err("the client key is encrypted, and nobody is here to give the passphrase: store it in plain, in a \
                    file that only you can read"
            .to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "the client key is not PEM")?;
    let key = CertifiedKey::new(chain, signing_key(&key, provider).ok_or(UNKNOWN_KEY)?);
    match key.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err("the client key is not that of the client certificate".to_owned())
        }
        // A server may accept a certificate that rustls cannot read.
        Ok(()) | Err(_) => Ok(key),
    }
}

const UNKNOWN_KEY: &str = "the client key is of no known kind: RSA of 2048 to 4096 bits, P-256, P-384 and Ed25519 are";

/// Reads the key in whatever encoding it has: the headers of files are often wrong about it, and client-go ignores
/// them, too.
fn signing_key(key: &PrivateKeyDer<'_>, provider: &CryptoProvider) -> Option<Arc<dyn SigningKey>> {
    let der = key.secret_der().to_vec();
    let encodings = [
        key.clone_key(),
        PrivateKeyDer::Pkcs8(der.clone().into()),
        PrivateKeyDer::Pkcs1(der.clone().into()),
        PrivateKeyDer::Sec1(der.into()),
    ];
    encodings.into_iter().find_map(|key| provider.key_provider.load_private_key(key).ok())
}
