//! `@moondock/hash`: digests, text encodings of bytes, random bytes.

use super::{Host, Module, Needs, function};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hex::FromHexError;
use mlua::{BString, Lua, LuaString};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

/// The module's functions.
#[rustfmt::skip]
pub const MODULE: Module = Module {
    name: "hash",
    functions: &[
        function("sha256",   Needs::Nothing, |lua, bind| bind.pure(lua, sha256)),
        function("hex",      Needs::Nothing, |lua, bind| bind.pure(lua, to_hex)),
        function("unhex",    Needs::Nothing, |lua, bind| bind.pure(lua, unhex)),
        function("base64",   Needs::Nothing, |lua, bind| bind.pure(lua, base64)),
        function("unbase64", Needs::Nothing, |lua, bind| bind.pure(lua, unbase64)),
        function("random",   Needs::Nothing, |lua, bind| bind.pure(lua, random)),
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
