//! What keeps a service in order: lost announcements made good, what is old removed, what is left over cleaned.

mod support;
mod upkeep {
    mod backfill;
    mod derived;
    mod expiry;
    mod reconcile;
    mod sweep;
}
