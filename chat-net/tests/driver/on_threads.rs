//! The cases on threads without a runtime; `on_tokio` has the same list, and guests.

use chat_net::net::Runtime;

use crate::{life, moving, proxied, reading, secure};

#[test]
fn several_addresses() {
    reading::several_addresses(Runtime::Threads);
}

#[test]
fn a_storm_of_connections() {
    reading::a_storm_of_connections(Runtime::Threads);
}

#[test]
fn messages_keep_their_order() {
    reading::messages_keep_their_order(Runtime::Threads);
}

#[test]
fn a_half_closed_client_is_answered() {
    reading::a_half_closed_client_is_answered(Runtime::Threads);
}

#[test]
fn last_words_arrive() {
    reading::last_words_arrive(Runtime::Threads);
}

#[test]
fn a_slow_reader_is_closed() {
    reading::a_slow_reader_is_closed(Runtime::Threads);
}

#[test]
fn large_stanzas() {
    reading::large_stanzas(Runtime::Threads);
}

#[test]
fn the_handle_speaks() {
    reading::the_handle_speaks(Runtime::Threads);
}

#[test]
fn connections_move_home() {
    moving::connections_move_home(Runtime::Threads);
}

#[test]
fn mail_for_a_sleeper() {
    moving::mail_for_a_sleeper(Runtime::Threads);
}

#[test]
fn a_client_in_a_hurry() {
    moving::a_client_in_a_hurry(Runtime::Threads);
}

#[test]
fn a_slow_worker_slows_its_feeders_only() {
    moving::a_slow_worker_slows_its_feeders_only(Runtime::Threads);
}

#[test]
fn proxy_version_1() {
    proxied::version_1(Runtime::Threads);
}

#[test]
fn proxy_version_2_before_tls() {
    proxied::version_2_before_tls(Runtime::Threads);
}

#[test]
fn a_bad_header_closes() {
    proxied::a_bad_header_closes(Runtime::Threads);
}

#[test]
fn a_silent_proxy_is_closed() {
    proxied::a_silent_proxy_is_closed(Runtime::Threads);
}

#[test]
fn both_ways_of_tls() {
    secure::both_ways_of_tls(Runtime::Threads);
}

#[test]
fn memory_needs_no_tls() {
    secure::memory_needs_no_tls(Runtime::Threads);
}

#[test]
fn garbage_instead_of_tls() {
    secure::garbage_instead_of_tls(Runtime::Threads);
}

#[test]
fn clear_bytes_after_starttls() {
    secure::clear_bytes_after_starttls(Runtime::Threads);
}

#[test]
fn a_tail_of_ciphertext() {
    secure::a_tail_of_ciphertext(Runtime::Threads);
}

#[test]
fn certificates_are_reloaded() {
    secure::certificates_are_reloaded(Runtime::Threads);
}

#[test]
fn shutdown_is_orderly() {
    life::shutdown_is_orderly(Runtime::Threads);
}

#[test]
fn a_panic_costs_one_worker() {
    life::a_panic_costs_one_worker(Runtime::Threads);
}

#[test]
fn wrong_settings_are_named() {
    life::wrong_settings_are_named(Runtime::Threads);
}

#[test]
fn domains_differ() {
    life::domains_differ(Runtime::Threads);
}

#[test]
fn out_of_descriptors() {
    life::out_of_descriptors(Runtime::Threads, "on_threads::out_of_descriptors");
}
