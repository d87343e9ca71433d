//! Certificates, names, reloading, and the messages about what is wrong with them.

use super::peer::{Client, Event, Options, Pair, identity, one_domain, pair};
use crate::tls::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, OtherNameValue, SanType,
};
use rustls::AlertDescription;
use rustls::version::{TLS12, TLS13};
use std::path::{Path, PathBuf};

fn tls(config: &TlsConfig) -> Tls {
    Tls::new(config).unwrap()
}

fn fingerprint_for(tls: &Tls, server_name: &'static str) -> String {
    let mut pair = pair(tls, Options { server_name, ..Options::default() });
    pair.handshake().unwrap();
    pair.client.server_fingerprint()
}

#[test]
fn reloading_is_for_those_who_come_later() {
    let old = identity(&["capulet.example"]);
    let new = identity(&["capulet.example"]);
    let handle = tls(&TlsConfig::new(old.clone()).unwrap());
    let mut open = pair(&handle, Options::default());
    open.handshake().unwrap();
    let mut half = pair(&handle, Options::default());
    let mut waiting = pair(&handle, Options::default());
    half.turn().unwrap();

    handle.clone().reload(&TlsConfig::new(new.clone()).unwrap()).unwrap();
    assert_eq!(handle.summary().fingerprint, new.summary().unwrap().fingerprint);

    open.say(b"as before").unwrap();
    open.answer(&[b"indeed"]);
    assert_eq!(
        (open.plain().as_slice(), open.client.received.as_slice()),
        (&b"as before"[..], &b"indeed"[..])
    );
    for pair in [&mut half, &mut waiting] {
        pair.handshake().unwrap();
        assert_eq!(pair.client.server_fingerprint(), old.summary().unwrap().fingerprint);
    }
    assert_eq!(fingerprint_for(&handle, "capulet.example"), new.summary().unwrap().fingerprint);
}

#[test]
fn tickets_survive_a_reload() {
    let handle = one_domain();
    let mut first = pair(&handle, Options::default());
    first.handshake().unwrap();
    first.answer(&[b"so that the ticket is read"]);
    handle.reload(&TlsConfig::new(identity(&["capulet.example"])).unwrap()).unwrap();
    let client = Client::new(first.client.config.clone(), "capulet.example");
    let mut second = Pair::new(&handle, client, TlsPurpose::StartTls);
    second.handshake().unwrap();
    assert_eq!(second.client.connection.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let handle = one_domain();
    let before = handle.summary().fingerprint;
    let broken = Identity::from_pem("nothing", "nothing");
    assert!(handle.reload(&TlsConfig::new(broken).unwrap()).is_err());
    assert_eq!(handle.summary().fingerprint, before);
    assert_eq!(fingerprint_for(&handle, "capulet.example"), before);
}

#[test]
fn certificates_by_domain() {
    let [default, one, star, deep, idn] = [(); 5].map(|()| self_signed(&["x.example"]).unwrap().identity());
    let shown = |identity: &Identity| identity.summary().unwrap().fingerprint;
    let config = TlsConfig::new(default.clone())
        .unwrap()
        .with_domain("Montague.Example.", one.clone())
        .with_domain("*.verona.example", star.clone())
        .with_domain("chat.verona.example", deep.clone())
        .with_domain("bücher.example", idn.clone());
    let handle = tls(&config);
    let table = [
        ("capulet.example", &default),
        ("montague.example", &one),
        ("MONTAGUE.example", &one),
        ("sub.montague.example", &default),
        ("a.verona.example", &star),
        ("a.b.verona.example", &default),
        ("verona.example", &default),
        ("chat.verona.example", &deep),
        ("xn--bcher-kva.example", &idn),
        // An address is no server name (RFC 6066 §3): the client sends none.
        ("192.0.2.1", &default),
    ];
    for (name, expected) in table {
        assert_eq!(fingerprint_for(&handle, name), shown(expected), "{name}");
    }
}

/// XEP-0368 §3.
#[test]
fn protocol_names_on_direct_tls() {
    let handle = one_domain();
    for (offered, agreed) in [
        (vec!["xmpp-client"], Some("xmpp-client")),
        (vec!["h2", "xmpp-client"], Some("xmpp-client")),
        (vec![], None),
    ] {
        let mut pair =
            pair(&handle, Options { alpn: offered, purpose: TlsPurpose::Direct, ..Options::default() });
        pair.handshake().unwrap();
        assert_eq!(pair.info().alpn.as_deref(), agreed);
    }
    let options = || Options { alpn: vec!["h2"], ..Options::default() };
    let mut direct = pair(&handle, Options { purpose: TlsPurpose::Direct, ..options() });
    assert!(matches!(direct.turn(), Err(TlsFault::Peer(_))));
    // RFC 7301 §3.2.
    let expected = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(direct.client.error, Some(expected));
    let mut starttls = pair(&handle, options());
    starttls.handshake().unwrap();
    assert_eq!(starttls.info().alpn, None);
}

/// An authority for clients.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `address`, with more names around it.
    fn issue(&self, address: &str, expired: bool) -> (String, String) {
        let mut params = CertificateParams::new(vec!["juliet.example".to_owned()]).unwrap();
        let name = |oid: Vec<u64>, text: &str| {
            SanType::OtherName((oid, OtherNameValue::Utf8String(text.to_owned())))
        };
        params.subject_alt_names.push(name(vec![1, 3, 6, 1, 5, 5, 7, 8, 5], address));
        params.subject_alt_names.push(name(vec![1, 2, 3], "somebody@else.example"));
        params.subject_alt_names.push(SanType::Rfc822Name("juliet@mail.example".try_into().unwrap()));
        params.subject_alt_names.push(name(vec![1, 3, 6, 1, 5, 5, 7, 8, 5], "second@capulet.example"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if expired {
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

#[test]
fn names_of_client_certificates() {
    let authority = Authority::new("of today");
    let config = TlsConfig::new(identity(&["capulet.example"])).unwrap().with_client_ca(authority.pem());
    let handle = tls(&config);
    for version in [&TLS13, &TLS12] {
        let options = |certificate| Options { versions: vec![version], certificate, ..Options::default() };
        let juliet = authority.issue("juliet@capulet.example", false);
        let mut pair = pair(&handle, options(Some(juliet)));
        pair.chunk = 11;
        pair.handshake().unwrap();
        let expected = ClientCertificate::Verified(ClientNames {
            xmpp_addrs: vec!["juliet@capulet.example".to_owned(), "second@capulet.example".to_owned()],
            srv_names: vec![],
            dns_names: vec!["juliet.example".to_owned()],
        });
        assert_eq!(pair.info().client, expected);
        assert_eq!(pair.info().exporter.is_some(), version == &TLS13);

        // The same out of a ticket.
        pair.answer(&[b"so that the ticket is read"]);
        let again = || Client::new(pair.client.config.clone(), "capulet.example");
        let mut resumed = Pair::new(&handle, again(), TlsPurpose::StartTls);
        resumed.handshake().unwrap();
        assert_eq!(resumed.client.connection.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
        assert_eq!(resumed.info().client, expected);
    }
}

#[test]
fn certificates_that_do_not_verify_only_lose_their_names() {
    let authority = Authority::new("of today");
    let stranger = Authority::new("of strangers");
    let asking = TlsConfig::new(identity(&["capulet.example"])).unwrap().with_client_ca(authority.pem());
    for (certificate, reason) in [
        (stranger.issue("juliet@capulet.example", false), "UnknownIssuer"),
        (authority.issue("juliet@capulet.example", true), "expired"),
    ] {
        let mut pair = pair(&tls(&asking), Options { certificate: Some(certificate), ..Options::default() });
        pair.handshake().unwrap();
        match pair.info().client {
            ClientCertificate::Refused(why) => assert!(why.contains(reason), "{why}"),
            other => panic!("{other:?}"),
        }
        pair.say(b"with a password, then").unwrap();
        assert!(pair.events.contains(&Event::Plain(b"with a password, then".to_vec())));
    }
    let mut without = pair(&tls(&asking), Options::default());
    without.handshake().unwrap();
    assert_eq!(without.info().client, ClientCertificate::Absent);
    // Not asked for, not given.
    let certificate = Some(authority.issue("juliet@capulet.example", false));
    let mut unasked = pair(&one_domain(), Options { certificate, ..Options::default() });
    unasked.handshake().unwrap();
    assert_eq!(unasked.info().client, ClientCertificate::Absent);
}

/// RFC 6120 §13.7.1.4: an address in a certificate is worth what the authorities of its domain say, not those of another.
#[test]
fn authorities_of_single_domains() {
    let [general, own] = ["of all", "of capulet"].map(Authority::new);
    let base = TlsConfig::new(identity(&["capulet.example"])).unwrap();
    let both = base.clone().with_client_ca(general.pem()).with_domain_client_ca("Capulet.example", own.pem());
    let only = base.clone().with_domain_client_ca("capulet.example", own.pem());
    let not_there = base.clone().with_client_ca(general.pem()).without_domain_client_ca("capulet.example");
    let nowhere = base.without_domain_client_ca("capulet.example");
    let (juliet, romeo) = ("juliet@capulet.example", "romeo@montague.example");
    for (config, authority, address, believed) in [
        (&both, &own, juliet, true),
        (&both, &own, romeo, false),
        (&both, &general, juliet, false),
        (&both, &general, romeo, true),
        (&only, &own, juliet, true),
        (&only, &own, romeo, false),
        (&only, &general, juliet, false),
        (&not_there, &general, juliet, false),
        (&not_there, &general, romeo, true),
    ] {
        // Each certificate names second@capulet.example as well.
        let options = Options { certificate: Some(authority.issue(address, false)), ..Options::default() };
        let mut pair = pair(&tls(config), options);
        pair.handshake().unwrap();
        let names = match pair.info().client {
            ClientCertificate::Verified(names) => names,
            ClientCertificate::Refused(_) => ClientNames::default(),
            ClientCertificate::Absent => panic!("nobody asked"),
        };
        assert_eq!(names.xmpp_addrs.iter().any(|a| a == address), believed, "{address} {config:?}");
        // Names that are no addresses belong to no domain of ours.
        let for_all = std::ptr::eq(authority, &raw const general) && config.client_ca.is_some();
        assert_eq!(names.dns_names.is_empty(), !for_all);
    }
    let certificate = Some(own.issue(juliet, false));
    let mut unasked = pair(&tls(&nowhere), Options { certificate, ..Options::default() });
    unasked.handshake().unwrap();
    assert_eq!(unasked.info().client, ClientCertificate::Absent, "without authorities nobody is asked");
}

/// A ticket remembers the certificate; whether it is believed depends on the authorities of today.
#[test]
fn a_ticket_does_not_outlive_its_authority() {
    let authority = Authority::new("of today");
    let config = TlsConfig::new(identity(&["capulet.example"])).unwrap();
    let handle = tls(&config.clone().with_client_ca(authority.pem()));
    let certificate = Some(authority.issue("juliet@capulet.example", false));
    let mut first = pair(&handle, Options { certificate, ..Options::default() });
    first.handshake().unwrap();
    assert!(matches!(first.info().client, ClientCertificate::Verified(_)));
    first.answer(&[b"so that the ticket is read"]);
    handle.reload(&config.with_client_ca(Authority::new("of tomorrow").pem())).unwrap();
    let client = Client::new(first.client.config.clone(), "capulet.example");
    let mut second = Pair::new(&handle, client, TlsPurpose::StartTls);
    second.handshake().unwrap();
    assert!(!matches!(second.info().client, ClientCertificate::Verified(_)));
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn what_is_wrong_with_files_is_said_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let made = self_signed(&["capulet.example"]).unwrap();
    let other = self_signed(&["capulet.example"]).unwrap();
    let (certificate, key) = (made.certificate_pem.as_str(), made.key_pem.as_str());
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &certificate[..certificate.len() / 2];
    let both = format!("{key}{certificate}");
    #[rustfmt::skip]
    let table = [
        (certificate, other.key_pem.as_str(), "the private key in DIR/key.pem does not belong to the first certificate in DIR/cert.pem"),
        (key, certificate, "DIR/cert.pem holds no certificate (a block that begins with \"-----BEGIN CERTIFICATE-----\"); it holds a private key: are the two files swapped?"),
        ("", key, "DIR/cert.pem holds no certificate (a block that begins with \"-----BEGIN CERTIFICATE-----\"); it is empty"),
        ("0\x01", key, "DIR/cert.pem holds no certificate (a block that begins with \"-----BEGIN CERTIFICATE-----\"); it looks like DER: convert it to PEM"),
        ("hello", key, "DIR/cert.pem holds no certificate (a block that begins with \"-----BEGIN CERTIFICATE-----\")"),
        (certificate, certificate, "DIR/key.pem holds no private key in PEM form; it holds a certificate: are the two files swapped?"),
        (certificate, encrypted, "DIR/key.pem holds no private key in PEM form; its key is encrypted with a passphrase, and nobody is there to type one: store it without"),
        (certificate, " \n", "DIR/key.pem holds no private key in PEM form; it is empty"),
        (cut, key, "DIR/cert.pem is not valid PEM: a block begins but does not end (is the file cut off?)"),
    ];
    let load = |certificate: &str, key: &str| {
        let certificate = file(folder.path(), "cert.pem", certificate);
        let key = file(folder.path(), "key.pem", key);
        Tls::new(&TlsConfig::new(Identity::from_files(&certificate, &key).unwrap()).unwrap())
    };
    let said = |error: TlsError| error.to_string().replace(&folder.path().display().to_string(), "DIR");
    for (certificate, key, expected) in table {
        assert_eq!(said(load(certificate, key).unwrap_err()), expected);
    }
    let unusable = said(load(broken, key).unwrap_err());
    assert!(unusable.starts_with("DIR/cert.pem cannot be used: "), "{unusable}");
    load(certificate, key).unwrap();
    load(&both, &both).unwrap();

    let missing = Identity::from_files(&folder.path().join("none.pem"), &folder.path().join("key.pem"));
    assert!(said(missing.unwrap_err()).starts_with("cannot read DIR/none.pem: "));
    let config = || TlsConfig::new(made.identity()).unwrap();
    let missing = config().with_client_ca_file(&folder.path().join("ca.pem"));
    assert!(said(missing.unwrap_err()).starts_with("cannot read DIR/ca.pem: "));
    let ca = file(folder.path(), "ca.pem", key);
    let swapped = Tls::new(&config().with_client_ca_file(&ca).unwrap());
    assert!(said(swapped.unwrap_err()).starts_with("DIR/ca.pem holds no certificate"));
    let domain = Tls::new(&config().with_domain("two words", made.identity()));
    assert_eq!(said(domain.unwrap_err()), "\"two words\" cannot be used as a domain name in TLS");
}

#[test]
fn self_signed_certificates() {
    let made = self_signed(&["localhost", "bücher.example", "127.0.0.1"]).unwrap();
    let fingerprint = made.identity().summary().unwrap().fingerprint;
    let pairs: Vec<&str> = fingerprint.split(':').collect();
    assert_eq!(pairs.len(), 32);
    assert!(
        pairs
            .iter()
            .all(|pair| pair.len() == 2 && pair.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F')))
    );
    let handle = tls(&TlsConfig::new(made.identity()).unwrap());
    assert_eq!(handle.summary().fingerprint, fingerprint);
    assert_eq!(fingerprint_for(&handle, "localhost"), fingerprint);
    assert!(matches!(self_signed(&["two words"]), Err(TlsError::BadDomain { .. })));

    let summary = handle.summary();
    assert_eq!(summary.dns_names, ["localhost", "xn--bcher-kva.example"]);
    let (from, to) = summary.validity.unwrap();
    // A day before now, and ten years after.
    assert_eq!(to - from, 86_400 + 10 * 365 * 86_400);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((0..60).contains(&(now as i64 - 86_400 - from)));
}

#[test]
fn domains_a_certificate_is_for() {
    let made = self_signed(&["capulet.example", "*.verona.example"]).unwrap();
    let summary = made.identity().summary().unwrap();
    for (domain, expected) in [
        ("capulet.example", true),
        ("CAPULET.example", true),
        ("chat.capulet.example", false),
        ("chat.verona.example", true),
        ("a.b.verona.example", false),
        ("verona.example", false),
    ] {
        assert_eq!(summary.covers(domain), expected, "{domain}");
    }
}

/// Each provider of the build carries a connection and the exporter.
#[test]
fn providers_are_a_choice() {
    for provider in [Provider::AwsLcRs, Provider::Ring] {
        let built_in = match provider {
            Provider::AwsLcRs => cfg!(feature = "aws-lc-rs"),
            Provider::Ring => cfg!(feature = "ring"),
        };
        let config = TlsConfig::new(identity(&["capulet.example"])).unwrap().with_provider(provider);
        if !built_in {
            assert!(matches!(Tls::new(&config), Err(TlsError::NoProvider { .. })));
            continue;
        }
        let mut pair = pair(&tls(&config), Options::default());
        pair.handshake().unwrap();
        assert_eq!(pair.info().exporter.as_deref(), Some(&pair.client.exporter()));
    }
}
