//! The buffer into which every connection is read, and from which its tokens come.

use super::frame::{self, Malformed, Token};

/// Room for one read.
const READ_BYTES: usize = 64 * 1024;

/// One for a whole tool: what a connection leaves behind, a stanza that is not complete, goes back to that connection.
#[derive(Debug)]
pub struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Input {
    fn default() -> Input {
        Input::new()
    }
}

impl Input {
    /// An empty one.
    #[must_use]
    pub fn new() -> Input {
        Input { buffer: vec![0; 2 * READ_BYTES], start: 0, end: 0 }
    }

    /// Begins anew with what a connection has kept.
    pub fn begin(&mut self, kept: &[u8]) {
        self.start = 0;
        self.end = 0;
        self.append(kept);
    }

    /// More bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Where the next read goes, at least 64 KiB; followed by [`Input::filled`].
    pub fn space(&mut self) -> &mut [u8] {
        self.room(READ_BYTES)
    }

    /// So many bytes were read.
    pub fn filled(&mut self, bytes: usize) {
        self.end += bytes;
    }

    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.len() - self.end < bytes {
            self.buffer.resize(self.end + bytes + READ_BYTES, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// The next token, if it is complete.
    ///
    /// # Errors
    /// This is no stream of XMPP.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend what it holds")]
    pub fn next(&mut self) -> Result<Option<Token<'_>>, Malformed> {
        self.start = frame::blank(&self.buffer[..self.end], self.start);
        let rest = &self.buffer[self.start..self.end];
        if rest.is_empty() {
            return Ok(None);
        }
        Ok(frame::next(rest)?.map(|(token, length)| {
            self.start += length;
            token
        }))
    }

    /// What is there and no token has taken.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Takes so many bytes that are no token.
    pub fn skip(&mut self, bytes: usize) {
        self.start += bytes.min(self.end - self.start);
    }

    /// Forgets what is there.
    pub fn clear(&mut self) {
        self.start = self.end;
    }
}
