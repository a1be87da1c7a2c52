//! The container and the FIFO of a stream.

use crate::protocol::LOG_INFO;
use crate::script::decode;
use mlua::{Lua, Table};
use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// The container and the FIFO of a stream.
#[derive(Debug, Clone)]
pub(super) struct StreamInfo {
    /// The stream's ID in the journal.
    pub id: String,
    /// The path of the FIFO.
    pub file: String,
    /// The container's ID.
    pub container: String,
    /// The container's name, for the log.
    pub name: String,
    /// The `LogInfo` for hooks, in JSON.
    pub text: Vec<u8>,
}

impl StreamInfo {
    /// Reads the body of `StartLogging`.
    ///
    /// # Errors
    /// A field that is missing or empty.
    pub(super) fn of_request(body: &[u8]) -> Result<Self, String> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let mut request = Json::deserialize(&mut json).map_err(|e| e.to_string())?;
        let file = request["File"].as_str().unwrap_or_default().to_owned();
        if file.is_empty() {
            return Err("`File` is missing or empty".to_owned());
        }
        let Some(info) = request["Info"].as_object_mut() else {
            return Err("`Info` is missing".to_owned());
        };
        info.insert("File".to_owned(), Json::String(file.clone()));
        let text = serde_json::to_vec(info).map_err(|e| e.to_string())?;
        let id = hex::encode(&Sha256::digest(&file)[..16]);
        Self::of(id, text).ok_or_else(|| "`ContainerID` is missing or empty".to_owned())
    }

    /// Reads a note of the journal. Returns `None` if it is not one of a stream.
    pub(super) fn of(id: String, text: Vec<u8>) -> Option<Self> {
        let info: Json = serde_json::from_slice(&text).ok()?;
        let field = |name| {
            info[name]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let container = field("ContainerID")?;
        let name = field("ContainerName").map(|name| name.trim_start_matches('/').to_owned());
        Some(Self {
            id,
            file: field("File")?,
            name: name.unwrap_or_else(|| container.clone()),
            container,
            text,
        })
    }

    /// Creates the table for hooks.
    pub(super) fn table(&self, lua: &Lua) -> Result<Table, String> {
        decode(lua, LOG_INFO, &self.text)
    }
}
