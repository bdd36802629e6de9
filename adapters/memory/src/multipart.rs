//! Multipart uploads: parts under a number, then one object made of them without a copy (B7).
//!
//! A part belongs to its upload's bucket, key and id together; another key's id is no id.

use crate::content::Content;
use crate::world::{Counter, Object, Part, World};
use filemill_core::checksum::Checksums;
use filemill_core::etag::Etag;
use filemill_core::limits::OBJECT_BYTES_MAX;
use filemill_core::object::ObjectInfo;
use filemill_core::ports::{
    BeginMultipart, BlobError, CompleteMultipart, InvalidBlob, Missing, MultipartInfo, MultipartRef, PartInfo, PartRef,
};
use filemill_core::time::Timestamp;

impl World {
    pub fn begin_multipart(&mut self, begin: BeginMultipart, now: Timestamp) -> Result<String, BlobError> {
        self.need_bucket(&begin.bucket)?;
        let id = format!("multipart-{:08}", self.next(Counter::Multipart));
        let upload = MultipartRef { bucket: begin.bucket, key: begin.key, id: id.clone() };
        let info = MultipartInfo { upload, attributes: begin.attributes, begun_at: now };
        self.set(|t| &mut t.multiparts, id.clone(), Some(info));
        Ok(id)
    }

    pub fn need_multipart(&self, upload: &MultipartRef) -> Result<MultipartInfo, BlobError> {
        match self.tables.multiparts.get(&upload.id) {
            Some(info) if info.upload == *upload => Ok(info.clone()),
            _ => Err(BlobError::NotFound(Missing::Upload)),
        }
    }

    pub fn put_part(
        &mut self,
        upload: &MultipartRef,
        number: u32,
        content: Content,
        etag: Etag,
        checksums: Checksums,
        now: Timestamp,
    ) -> Result<PartInfo, BlobError> {
        self.need_multipart(upload)?;
        let handle = format!("part-{:08}", self.next(Counter::Part));
        let info = PartInfo { number, size: content.size, etag, checksums, modified_at: now, handle };
        let part = Part { info: info.clone(), content };
        self.set(|t| &mut t.parts, (upload.id.clone(), number), Some(part));
        Ok(info)
    }

    pub fn complete_multipart(
        &mut self,
        upload: &MultipartRef,
        complete: CompleteMultipart,
        min_part_bytes: u64,
        now: Timestamp,
    ) -> Result<ObjectInfo, BlobError> {
        let multipart = self.need_multipart(upload)?;
        if complete.parts.is_empty() {
            return Err(BlobError::Invalid(InvalidBlob::Other("a completion names at least one part".into())));
        }
        self.check_condition(&upload.bucket, &upload.key, &complete.condition)?;
        let parts = self.named_parts(&upload.id, &complete.parts, min_part_bytes.max(complete.min_part_bytes))?;
        Ok(self.join_parts(multipart, parts, complete.checksums, now))
    }

    /// The parts as named; empty if none is named.
    pub fn named_parts(&self, id: &str, names: &[PartRef], min_part_bytes: u64) -> Result<Vec<Part>, BlobError> {
        if names.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(BlobError::Invalid(InvalidBlob::PartOrder));
        }
        let mut parts = Vec::with_capacity(names.len());
        for (nth, name) in names.iter().enumerate() {
            let part = self.tables.parts.get(&(id.to_owned(), name.number)).filter(|p| is_named(p, name));
            let part = part.ok_or(BlobError::Invalid(InvalidBlob::Part(name.number)))?;
            let size = part.content.size;
            if size < min_part_bytes && nth + 1 < names.len() {
                let too_small = InvalidBlob::PartTooSmall { number: name.number, size, min: min_part_bytes };
                return Err(BlobError::Invalid(too_small));
            }
            parts.push(part.clone());
        }
        match parts.iter().map(|p| p.content.size).sum() {
            total if total > OBJECT_BYTES_MAX => Err(BlobError::Invalid(InvalidBlob::TooLarge(total))),
            _ => Ok(parts),
        }
    }

    /// Makes the object and drops the upload with all of its parts.
    pub fn join_parts(
        &mut self,
        multipart: MultipartInfo,
        parts: Vec<Part>,
        checksums: Checksums,
        now: Timestamp,
    ) -> ObjectInfo {
        let MultipartInfo { upload, attributes, .. } = multipart;
        let content = Content::joined(parts.iter().map(|p| &p.content));
        let info = ObjectInfo {
            bucket: upload.bucket.clone(),
            key: upload.key.clone(),
            size: content.size,
            etag: Etag::of_parts(parts.iter().map(|p| &p.info.etag)),
            sequencer: self.next_sequencer(),
            modified_at: now,
            attributes,
            checksums,
            part_sizes: parts.iter().map(|p| p.content.size).collect(),
        };
        self.drop_multipart(&upload.id);
        self.publish_object(Object { info: info.clone(), content }, now);
        info
    }

    pub fn drop_multipart(&mut self, id: &str) {
        let numbers: Vec<u32> = self.parts_of(id, 0).map(|p| p.info.number).collect();
        for number in numbers {
            self.set(|t| &mut t.parts, (id.to_owned(), number), None);
        }
        self.set(|t| &mut t.multiparts, id.to_owned(), None);
    }
}

fn is_named(part: &Part, name: &PartRef) -> bool {
    name.handle.as_ref().is_none_or(|h| *h == part.info.handle)
        && name.etag.as_ref().is_none_or(|e| *e == part.info.etag)
}
