//! Who asks, on a TLS socket: the client's certificates as the engine passes them on (protocol
//! 3.1).

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::Refusal;

/// The part of a certificate that policies use. The engine has verified the certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject's common name, which the engine uses as the user's name.
    pub common_name: Option<String>,
    /// The subject's organisations, often used as groups.
    pub organizations: Vec<String>,
    /// The subject's organisational units.
    pub organizational_units: Vec<String>,
    /// The alternative names: DNS names.
    pub dns_names: Vec<String>,
    /// The alternative names: IP addresses.
    pub ip_addresses: Vec<IpAddr>,
    /// The alternative names: mail addresses.
    pub emails: Vec<String>,
    /// The alternative names: URIs.
    pub uris: Vec<String>,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
}

impl PeerCertificate {
    /// Parses one element of `RequestPeerCertificates`: the Base64 of a PEM text. It takes tens of
    /// microseconds, so call it only when a policy reads the certificate.
    ///
    /// # Errors
    /// [`Refusal::Certificate`] when the element is not exactly one certificate.
    pub fn parse(element: &str) -> Result<PeerCertificate, Refusal> {
        let pem = STANDARD
            .decode(element)
            .map_err(|_| Refusal::Certificate("it is not Base64"))?;
        let (_, pem) = parse_x509_pem(&pem).map_err(|_| Refusal::Certificate("it is not PEM"))?;
        let certificate = pem
            .parse_x509()
            .map_err(|_| Refusal::Certificate("it is not X.509"))?;
        Self::read(&certificate)
    }

    fn read(certificate: &X509Certificate<'_>) -> Result<PeerCertificate, Refusal> {
        let subject = certificate.subject();
        let mut peer = PeerCertificate {
            common_name: texts(subject, X509Name::iter_common_name)?.pop(),
            organizations: texts(subject, X509Name::iter_organization)?,
            organizational_units: texts(subject, X509Name::iter_organizational_unit)?,
            serial: certificate
                .tbs_certificate
                .raw_serial()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            not_after: certificate.validity().not_after.timestamp(),
            ..PeerCertificate::default()
        };
        let names = certificate
            .subject_alternative_name()
            .map_err(|_| Refusal::Certificate("its alternative names are invalid"))?;
        names
            .iter()
            .flat_map(|names| &names.value.general_names)
            .try_for_each(|name| peer.add(name))?;
        Ok(peer)
    }

    fn add(&mut self, name: &GeneralName<'_>) -> Result<(), Refusal> {
        match name {
            GeneralName::DNSName(name) => self.dns_names.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => self.emails.push((*name).to_owned()),
            GeneralName::URI(name) => self.uris.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => self.ip_addresses.push(address(bytes)?),
            _ => {}
        }
        Ok(())
    }
}

fn texts<'c, I>(
    name: &'c X509Name<'c>,
    attributes: impl Fn(&'c X509Name<'c>) -> I,
) -> Result<Vec<String>, Refusal>
where
    I: Iterator<Item = &'c AttributeTypeAndValue<'c>>,
{
    let text = |attribute: &AttributeTypeAndValue<'_>| attribute.as_str().map(str::to_owned);
    attributes(name)
        .map(text)
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::Certificate("a name in it is not text"))
}

fn address(bytes: &[u8]) -> Result<IpAddr, Refusal> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or(v6)
        .map_err(|_| Refusal::Certificate("an address in it has an invalid length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As recorded from an engine: `CN = alice, O = team`, for `localhost` and 127.0.0.1.
    const ALICE: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJyakNDQVZXZ0F3SUJBZ0lVSzMvRVRtbE5BQ0JMUmtGTnBFc0haS3o0MFlv\
        d0NnWUlLb1pJemowRUF3SXcKRVRFUE1BMEdBMVVFQXd3R2RHVnpkR05oTUI0WERUSTJNVEV5TXpBM016SXdPRm9YRFRJMk1USXlN\
        ekEzTXpJdwpPRm93SHpFTk1Bc0dBMVVFQ2d3RWRHVmhiVEVPTUF3R0ExVUVBd3dGWVd4cFkyVXdXVEFUQmdjcWhrak9QUUlCCkJn\
        Z3Foa2pPUFFNQkJ3TkNBQVJDU2lzVit3YTNKQWRjTHMxQXM2MkhyS3dvMk1HdmxZdGQ1UEtwajhJakwwOEcKbkFvWFllQW84Tlc5\
        Mm5jYVFPL2JQVHlKNThFbm9UTlNkQ3JmbW8wRG8zMHdlekFhQmdOVkhSRUVFekFSZ2dscwpiMk5oYkdodmMzU0hCSDhBQUFFd0hR\
        WURWUjBsQkJZd0ZBWUlLd1lCQlFVSEF3RUdDQ3NHQVFVRkJ3TUNNQjBHCkExVWREZ1FXQkJSVlBjQXJmTml4NlZwYUVOUG9zZXVa\
        bUVqTDRUQWZCZ05WSFNNRUdEQVdnQlR6WVpENTZJRzUKekhQVFk5MS9nOFVGZkVDTlNUQUtCZ2dxaGtqT1BRUURBZ05IQURCRUFp\
        QWFRQWREV2R4ZmZEaWpJdk1iY3plQQorRXBoOEpIYytDLy9zd2czZGlYL2NBSWdId1k2aitmRDA5TENUMGV6Q1hLcTJuVkVJREVX\
        VEVESWVhWWpqbUFIClN4QT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=";

    #[test]
    fn reads_a_recorded_certificate() {
        let alice = PeerCertificate::parse(ALICE).unwrap();
        assert_eq!(alice.common_name.as_deref(), Some("alice"));
        assert_eq!(alice.organizations, ["team"]);
        assert!(alice.organizational_units.is_empty());
        assert_eq!(alice.dns_names, ["localhost"]);
        assert_eq!(alice.ip_addresses, [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(alice.serial, "2b7fc44e694d00204b46414da44b0764acf8d18a");
        assert_eq!(alice.not_after, 1_798_011_128);
    }

    #[test]
    fn refuses_invalid_certificates() {
        let pem = |inside: &str| {
            STANDARD.encode(format!(
                "-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n"
            ))
        };
        for bad in [
            "",
            "!",
            "e30=",
            &ALICE[4..],
            &pem(""),
            &pem("e30="),
            &ALICE[..ALICE.len() / 2],
        ] {
            let refused = PeerCertificate::parse(bad);
            assert!(matches!(refused, Err(Refusal::Certificate(_))), "{bad}");
        }
    }
}
