//! Where a list goes on, as opaque text: base64url over the last item's place. A cursor of another list, or one that was
//! changed, is 400.

use super::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filemill_core::ids::{AlarmChangeId, AuditId, BackfillId, DeadLetterId, DeliveryId, JobId, KeyId, RedriveId};
use filemill_core::limits;
use filemill_core::object::{BucketName, ObjectKey};

/// A place in a list. The first letter tells one list's cursors from another's.
pub trait Place: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;
}

/// A blob of the store.
pub struct BlobPlace(pub String);

impl Place for BlobPlace {
    fn write(&self) -> String {
        format!("b{}", self.0)
    }

    fn read(text: &str) -> Option<Self> {
        Some(BlobPlace(text.strip_prefix('b')?.to_owned()))
    }
}

impl Place for JobId {
    fn write(&self) -> String {
        format!("j{self}")
    }

    fn read(text: &str) -> Option<Self> {
        JobId::parse(text.strip_prefix('j')?)
    }
}

/// Records: their ids say their kind.
macro_rules! place_of_record {
    ($($id:ident),*) => {
        $(impl Place for $id {
            fn write(&self) -> String {
                self.to_string()
            }

            fn read(text: &str) -> Option<Self> {
                $id::parse(text)
            }
        })*
    };
}

place_of_record!(AlarmChangeId, AuditId, BackfillId, DeadLetterId, DeliveryId, KeyId, RedriveId);

impl Place for (BucketName, ObjectKey) {
    fn write(&self) -> String {
        format!("f{}/{}", self.0, self.1)
    }

    fn read(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix('f')?.split_once('/')?;
        Some((BucketName::parse(bucket).ok()?, ObjectKey::parse(key).ok()?))
    }
}

impl Place for (BucketName, ObjectKey, String) {
    fn write(&self) -> String {
        format!("n{}/{}/{}", self.0, self.2, self.1)
    }

    fn read(text: &str) -> Option<Self> {
        let (bucket, rest) = text.strip_prefix('n')?.split_once('/')?;
        let (processor, key) = rest.split_once('/')?;
        Some((BucketName::parse(bucket).ok()?, ObjectKey::parse(key).ok()?, processor.to_owned()))
    }
}

pub fn to_cursor(place: &impl Place) -> String {
    URL_SAFE_NO_PAD.encode(place.write())
}

pub fn from_cursor<P: Place>(cursor: Option<String>) -> Result<Option<P>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bad = || Problem::bad_request("bad_cursor", "cursor is not one that this list gave");
    if cursor.len() > 2 * limits::KEY_BYTES_MAX {
        return Err(bad());
    }
    let text = URL_SAFE_NO_PAD.decode(&cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| P::read(&text)).map(Some).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_no_other_list_takes_it() {
        let place = (BucketName::parse("uploads").expect("bucket"), ObjectKey::parse("a/ü/\r\n").expect("key"));
        let cursor = to_cursor(&place);
        assert_eq!(from_cursor(Some(cursor.clone())).expect("own cursor"), Some(place));
        assert!(from_cursor::<JobId>(Some(cursor)).is_err());
    }

    #[test]
    fn changed_cursors_are_refused() {
        for bad in ["x", "%%%", "am9i", &"A".repeat(10_000)] {
            assert!(from_cursor::<JobId>(Some(bad.to_owned())).is_err(), "{bad}");
        }
    }
}
