//! What the keys of kept answers are made of.

use std::sync::Arc;

use flywheel_postgres::Settings;

/// Appends something whose end must be known.
pub(crate) fn put(key: &mut Vec<u8>, bytes: &[u8]) {
    key.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    key.extend_from_slice(bytes);
}

pub(crate) fn put_formats(key: &mut Vec<u8>, formats: &[i16]) {
    key.extend_from_slice(&(formats.len() as u64).to_le_bytes());
    formats.iter().for_each(|format| key.extend_from_slice(&format.to_le_bytes()));
}

/// What the session has to do with the cache.
#[derive(Debug, Default)]
pub(crate) struct Cached {
    /// The settings, as they stand in keys.
    context: Option<(Arc<Settings>, Box<[u8]>)>,
    /// Where keys are made.
    key: Vec<u8>,
}

impl Cached {
    /// A buffer for a key, to be given back.
    pub(crate) fn take_key(&mut self) -> Vec<u8> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key
    }

    pub(crate) fn give_key_back(&mut self, key: Vec<u8>) {
        self.key = key;
    }

    /// What an answer depends on beside the statement.
    pub(crate) fn put_context(
        &mut self,
        database: &str,
        user: &str,
        settings: &Arc<Settings>,
        key: &mut Vec<u8>,
    ) {
        let known = self.context.as_ref();
        if let Some((_, context)) = known.filter(|(known, _)| Arc::ptr_eq(known, settings)) {
            key.extend_from_slice(context);
            return;
        }
        let mut context = Vec::new();
        put(&mut context, database.as_bytes());
        put(&mut context, user.as_bytes());
        for statement in settings.statements() {
            put(&mut context, statement.as_bytes());
        }
        key.extend_from_slice(&context);
        // While it is kept, settings that change are other ones.
        self.context = Some((settings.clone(), context.into()));
    }
}
