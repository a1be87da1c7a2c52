//! `@moondock/hash`: digests, encodings of bytes, randomness.

use super::Host;
use super::{Function, Module, Needs};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hex::FromHexError;
use mlua::{BString, Lua, LuaString};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

/// The module's table.
pub const MODULE: Module = Module {
    name: "hash",
    summary: "Digests, bytes as text and back, random bytes. Strings are taken as bytes.",
    types: "",
    functions: &[
        Function {
            name: "sha256",
            signature: "(text: string) -> string",
            doc: "The SHA-256 digest of the bytes, as 64 hexadecimal digits.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, sha256),
        },
        Function {
            name: "hex",
            signature: "(text: string) -> string",
            doc: "The bytes as lower-case hexadecimal digits.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, to_hex),
        },
        Function {
            name: "unhex",
            signature: "(text: string) -> string",
            doc: "The bytes that the hexadecimal digits, of either case, stand for. Raises on anything else.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, unhex),
        },
        Function {
            name: "base64",
            signature: "(text: string) -> string",
            doc: "The bytes in base64 (`A–Za–z0–9+/`, padded with `=`).",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, base64),
        },
        Function {
            name: "unbase64",
            signature: "(text: string) -> string",
            doc: "The bytes that the base64 text stands for, padded or not. Raises on anything else.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, unbase64),
        },
        Function {
            name: "random",
            signature: "(bytes: number) -> string",
            doc: "That many random bytes, fit for keys and names: `hash.hex(hash.random(8))`. Raises on a number beyond 65536.",
            needs: Needs::Nothing,
            make: |lua, binding| binding.pure(lua, random),
        },
    ],
};

const MAX_RANDOM: usize = 65536;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn sha256(_: &Lua, _: &Host, text: LuaString) -> Result<String, String> {
    Ok(hex::encode(Sha256::digest(text.as_bytes())))
}

fn to_hex(_: &Lua, _: &Host, text: LuaString) -> Result<String, String> {
    Ok(hex::encode(text.as_bytes()))
}

fn unhex(_: &Lua, _: &Host, text: LuaString) -> Result<BString, String> {
    match hex::decode(text.as_bytes()) {
        Ok(bytes) => Ok(bytes.into()),
        Err(FromHexError::InvalidHexCharacter { c, .. }) => {
            Err(format!("`{c}` is not a hexadecimal digit"))
        }
        Err(_) => Err("an odd number of digits".to_owned()),
    }
}

fn base64(_: &Lua, _: &Host, text: LuaString) -> Result<String, String> {
    Ok(BASE64.encode(text.as_bytes()))
}

fn unbase64(_: &Lua, _: &Host, text: LuaString) -> Result<BString, base64::DecodeError> {
    BASE64.decode(text.as_bytes()).map(BString::from)
}

fn random(_: &Lua, _: &Host, bytes: usize) -> Result<BString, String> {
    if bytes > MAX_RANDOM {
        return Err(format!("{bytes} is more than {MAX_RANDOM} bytes"));
    }
    let mut random = vec![0; bytes];
    let mut done = 0;
    while done < bytes {
        done +=
            getrandom(&mut random[done..], GetRandomFlags::empty()).map_err(|e| e.to_string())?;
    }
    Ok(random.into())
}
