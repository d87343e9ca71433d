//! SCRAM on the client's side (RFC 5802; RFC 7677 for SHA-256), without channel binding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Which hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hash {
    /// SCRAM-SHA-1
    Sha1,
    /// SCRAM-SHA-256
    Sha256,
}

/// A password after PBKDF2, with what it was derived from: the next login with the same salt is spared the work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salted {
    salt: Vec<u8>,
    iterations: u32,
    key: Vec<u8>,
}

/// One exchange.
#[derive(Debug)]
pub struct Scram {
    hash: Hash,
    nonce: String,
    first_bare: String,
    signature: Vec<u8>,
}

impl Scram {
    /// Begins one; the nonce must not repeat.
    #[must_use]
    pub fn new(hash: Hash, user: &str, nonce: String) -> Scram {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        Scram { hash, nonce, first_bare, signature: Vec::new() }
    }

    /// What the client says first.
    #[must_use]
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// The answer to the server's challenge.
    ///
    /// # Errors
    /// The challenge is not as RFC 5802 says, or belongs to another exchange.
    pub fn answer(
        &mut self,
        challenge: &str,
        password: &str,
        known: &mut Option<Salted>,
    ) -> Result<String, String> {
        let field = |name: &str| challenge.split(',').find_map(|f| f.strip_prefix(name));
        let (Some(nonce), Some(salt), Some(iterations)) = (field("r="), field("s="), field("i=")) else {
            return Err(format!("a SCRAM challenge without nonce, salt and count: {challenge}"));
        };
        if !nonce.starts_with(&self.nonce) {
            return Err("a SCRAM challenge with a foreign nonce".to_owned());
        }
        let salt = STANDARD.decode(salt).map_err(|e| format!("the salt is no base64: {e}"))?;
        let iterations: u32 = iterations.parse().map_err(|e| format!("the count is no number: {e}"))?;
        if !known.as_ref().is_some_and(|k| k.salt == salt && k.iterations == iterations) {
            let key = self.derive(password, &salt, iterations);
            *known = Some(Salted { salt, iterations, key });
        }
        let salted = &known.as_ref().expect("it was just made").key;
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{challenge},{without_proof}", self.first_bare);
        let client_key = self.hmac(salted, b"Client Key");
        let signature = self.hmac(&self.digest(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        self.signature = self.hmac(&self.hmac(salted, b"Server Key"), message.as_bytes());
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server has shown that it knows the password, too.
    #[must_use]
    pub fn is_proof(&self, last: &str) -> bool {
        last.strip_prefix("v=").and_then(|v| STANDARD.decode(v).ok()).is_some_and(|v| v == self.signature)
    }

    fn derive(&self, password: &str, salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut key = vec![0; if self.hash == Hash::Sha1 { 20 } else { 32 }];
        match self.hash {
            Hash::Sha1 => pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), salt, iterations, &mut key),
            Hash::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut key),
        }
        key
    }

    fn hmac(&self, key: &[u8], data: &[u8]) -> Vec<u8> {
        const ANY: &str = "HMAC takes keys of any length";
        match self.hash {
            Hash::Sha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect(ANY);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
            Hash::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn digest(&self, data: &[u8]) -> Vec<u8> {
        match self.hash {
            Hash::Sha1 => Sha1::digest(data).to_vec(),
            Hash::Sha256 => Sha256::digest(data).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfcs() {
        // RFC 5802 §5, RFC 7677 §3.
        for (hash, nonce, challenge, proof, last) in [
            (
                Hash::Sha1,
                "fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
            (
                Hash::Sha256,
                "rOprNGfwEbeRWgbNEkqO",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ] {
            let mut scram = Scram::new(hash, "user", nonce.to_owned());
            assert_eq!(scram.first(), format!("n,,n=user,r={nonce}"));
            let mut known = None;
            assert_eq!(scram.answer(challenge, "pencil", &mut known).as_deref(), Ok(proof));
            assert!(known.is_some() && scram.is_proof(last) && !scram.is_proof("v=AAAA"));
        }
    }

    #[test]
    fn a_foreign_nonce_is_refused() {
        let mut scram = Scram::new(Hash::Sha1, "user", "mine".to_owned());
        assert!(scram.answer("r=yours,s=QSXCR+Q6sek8bf92,i=1", "pencil", &mut None).is_err());
    }
}
