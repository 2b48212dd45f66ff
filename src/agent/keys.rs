//! Private keys in OpenSSH's format, and signatures by them.

use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};
use ssh_key::PrivateKey;
use ssh_key::private::{EcdsaKeypair, KeypairData, RsaKeypair};

use super::Error;
use super::protocol::put_string;

/// Which hash an RSA signature is made with (draft-ietf-sshm-ssh-agent, section 3.6.1).
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// A private key.
pub struct Key {
    /// The public half, as it is sent.
    public: Vec<u8>,
    comment: String,
    signer: Signer,
}

enum Signer {
    Ed25519(Ed25519KeyPair),
    Ecdsa(&'static str, EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?})", self.comment)
    }
}

impl Key {
    /// Reads the text of a key file; `name` is what messages call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let malformed =
            |why: &dyn std::fmt::Display| Error::NoKey { name: name.to_owned(), why: why.to_string() };
        let key = PrivateKey::from_openssh(text).map_err(|why| malformed(&why))?;
        if key.is_encrypted() {
            return Err(Error::Encrypted(name.to_owned()));
        }
        let signer = match key.key_data() {
            KeypairData::Ed25519(pair) => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&pair.private.to_bytes(), &pair.public.0);
                Signer::Ed25519(pair.map_err(|why| malformed(&why))?)
            }
            KeypairData::Ecdsa(EcdsaKeypair::NistP256 { public, private }) => {
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair =
                    ecdsa(algorithm, private.as_slice(), public.as_bytes()).map_err(|why| malformed(&why))?;
                Signer::Ecdsa("ecdsa-sha2-nistp256", pair)
            }
            KeypairData::Ecdsa(EcdsaKeypair::NistP384 { public, private }) => {
                let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
                let pair =
                    ecdsa(algorithm, private.as_slice(), public.as_bytes()).map_err(|why| malformed(&why))?;
                Signer::Ecdsa("ecdsa-sha2-nistp384", pair)
            }
            KeypairData::Rsa(pair) => Signer::Rsa(rsa(pair).map_err(|why| malformed(&why))?),
            _ => return Err(Error::Kind { name: name.to_owned(), kind: key.algorithm().to_string() }),
        };
        let public = key.public_key().to_bytes().map_err(|why| malformed(&why))?;
        Ok(Self { public, comment: key.comment().to_string(), signer })
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn comment(&self) -> &str {
        &self.comment
    }

    /// The name of the algorithm, and the signature (RFC 4253, 5656, 8332, 8709). `None`: not by this key in this way.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<(&'static str, Vec<u8>)> {
        let random = SystemRandom::new();
        match &self.signer {
            Signer::Ed25519(pair) => Some(("ssh-ed25519", pair.sign(data).as_ref().to_vec())),
            Signer::Ecdsa(name, pair) => {
                let signature = pair.sign(&random, data).ok()?;
                let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
                let mut numbers = Vec::new();
                put_number(&mut numbers, r);
                put_number(&mut numbers, s);
                Some((name, numbers))
            }
            Signer::Rsa(pair) => {
                // without a flag SHA-1 is asked for, which nobody should trust any more
                let (name, padding) = match flags {
                    flags if flags & RSA_SHA2_512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    flags if flags & RSA_SHA2_256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    _ => return None,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, data, &mut signature).ok()?;
                Some((name, signature))
            }
        }
    }
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    private: &[u8],
    public: &[u8],
) -> Result<EcdsaKeyPair, ring::error::KeyRejected> {
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &SystemRandom::new())
}

/// OpenSSH leaves out the exponents of the Chinese remainder theorem, which follow from the rest.
fn rsa(pair: &RsaKeypair) -> Result<RsaKeyPair, ring::error::KeyRejected> {
    let (public, private) = (&pair.public, &pair.private);
    let number = |number: &ssh_key::Mpint| number.as_positive_bytes().unwrap_or_default().to_vec();
    let (d, p, q) = (number(&private.d), number(&private.p), number(&private.q));
    RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: number(&public.n), e: number(&public.e) },
        dP: remainder(&d, &less_one(&p)),
        dQ: remainder(&d, &less_one(&q)),
        qInv: number(&private.iqmp),
        d,
        p,
        q,
    })
}

/// An odd number less one.
fn less_one(odd: &[u8]) -> Vec<u8> {
    let mut even = odd.to_vec();
    if let Some(last) = even.last_mut() {
        *last &= !1;
    }
    even
}

/// `number` modulo `modulus`, big endian, by shifting in bit after bit. Once a key, so it may be slow.
fn remainder(number: &[u8], modulus: &[u8]) -> Vec<u8> {
    // one byte more, for the bit that is shifted out
    let modulus = [&[0], modulus].concat();
    let mut rest = vec![0; modulus.len()];
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
        let mut carry = bit;
        for byte in rest.iter_mut().rev() {
            let shifted = u16::from(*byte) << 1 | u16::from(carry);
            [carry, *byte] = shifted.to_be_bytes();
        }
        if rest >= modulus {
            let mut borrow = 0;
            for (byte, take) in rest.iter_mut().zip(&modulus).rev() {
                let (less, under) = byte.overflowing_sub(*take);
                let (less, further) = less.overflowing_sub(borrow);
                (*byte, borrow) = (less, u8::from(under || further));
            }
        }
    }
    let start = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len() - 1);
    rest.split_off(start)
}

/// `mpint` of RFC 4251, section 5: no leading zeros, but one where the number would look negative.
fn put_number(to: &mut Vec<u8>, number: &[u8]) {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = &number[start..];
    let sign: &[u8] = if number.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    put_string(to, &[sign, number].concat());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_are_those_of_numbers() {
        for (number, modulus) in [
            (0_u64, 7_u64),
            (6, 7),
            (7, 7),
            (1 << 63, 255),
            (u64::MAX, 256),
            (u64::MAX, u64::MAX - 2),
            (12345, 1),
        ] {
            let got = remainder(&number.to_be_bytes(), &modulus.to_be_bytes());
            let got = got.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            assert_eq!(got, number % modulus, "{number} modulo {modulus}");
        }
    }

    #[test]
    fn numbers_are_written_as_ssh_has_them() {
        for (number, want) in [
            (&[][..], &[0, 0, 0, 0][..]),
            (&[0, 0], &[0, 0, 0, 0]),
            (&[0, 0x7f], &[0, 0, 0, 1, 0x7f]),
            (&[0x80], &[0, 0, 0, 2, 0, 0x80]),
            (&[0, 0xff, 1], &[0, 0, 0, 3, 0, 0xff, 1]),
        ] {
            let mut written = Vec::new();
            put_number(&mut written, number);
            assert_eq!(written, want, "{number:?}");
        }
    }
}
