//! Chance that nobody can guess, for secrets: the operating system's.

use super::problem::Problem;
use rand::TryRngCore;
use rand::rngs::OsRng;

pub fn unguessable() -> Result<[u8; 32], Problem> {
    let mut bytes = [0; 32];
    OsRng.try_fill_bytes(&mut bytes).map_err(|e| {
        tracing::error!(error = %e, "the system gives no random bytes");
        Problem::internal()
    })?;
    Ok(bytes)
}
