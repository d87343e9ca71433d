//! See `chat_fuzz::jid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| chat_fuzz::jid(data));
