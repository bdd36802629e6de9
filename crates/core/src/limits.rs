//! The limits that users meet or rooms share, each with its reason. A room's own stands at the top of its file.
//!
//! Lists, bodies, keys, metadata, retries, leases: nothing in Filemill grows without a limit.

use std::time::Duration;

pub const KIB: u64 = 1024;
pub const MIB: u64 = 1024 * KIB;
pub const GIB: u64 = 1024 * MIB;
pub const TIB: u64 = 1024 * GIB;

/// S3: a key is at most 1,024 bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;
/// S3: user metadata, names and values together.
pub const METADATA_BYTES_MAX: usize = 2 * 1024;
/// S3: tags per object, characters of a tag's key and of its value.
pub const TAGS_MAX: usize = 10;
pub const TAG_KEY_CHARS_MAX: usize = 128;
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// S3: bucket names are DNS labels of 3 to 63 characters.
pub const BUCKET_NAME_BYTES_MIN: usize = 3;
pub const BUCKET_NAME_BYTES_MAX: usize = 63;
/// Guards the bucket list, which is answered in one piece.
pub const BUCKETS_MAX: usize = 1000;

/// S3: one PUT, and one part.
pub const SINGLE_PUT_BYTES_MAX: u64 = 5 * GIB;
/// S3: an object made of parts.
pub const OBJECT_BYTES_MAX: u64 = 5 * TIB;
/// S3: every part but the last.
pub const PART_BYTES_MIN: u64 = 5 * MIB;
/// S3: part numbers run from 1 to this.
pub const PARTS_MAX: u32 = 10_000;
/// S3: keys in one DeleteObjects, and entries of one listing.
pub const DELETE_OBJECTS_MAX: usize = 1000;
pub const LIST_OBJECTS_MAX: u32 = 1000;
/// S3: a presigned URL lives at most seven days.
pub const PRESIGN_MAX: Duration = Duration::from_secs(604_800);
/// S3: a signed request may be this far from the server's clock.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// The MD5 of a body is computed up to this length, or where the client gave one to compare with: beyond it the hash is
/// what holds a large upload back, and the content checksum makes the tag.
pub const MD5_BYTES_MAX: u64 = 64 * MIB;
/// Browser form uploads are small files; larger ones use PUT or multipart. The form is held in memory while its
/// policy is checked.
pub const POST_FORM_BYTES_MAX: u64 = 32 * MIB;
/// Forms whose file is on its way in, or held and being stored, at a time: 256 MiB at most.
pub const POST_FORMS_MAX: usize = 8;
/// The whole of a form's file comes within this: the largest at 1 Mbit a second.
pub const POST_FORM_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// An XML request body (CompleteMultipartUpload with 10,000 parts and checksums is about 2 MiB).
pub const XML_BYTES_MAX: u64 = 4 * MIB;
/// XML bodies on their way in at a time: they are held before their signature can be verified, 128 MiB at most.
pub const XML_BODIES_MAX: usize = 32;
/// The whole of an XML body comes within this: the largest completion at 70 KB a second.
pub const XML_BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Upload links are used at once; a slow line still finishes because expiry is checked when a request starts.
pub const UPLOAD_LINK_TTL: Duration = Duration::from_secs(15 * 60);
/// Download links are made when asked for and often pasted into a message.
pub const DOWNLOAD_LINK_TTL: Duration = Duration::from_secs(60 * 60);
/// An upload that brought no object this long after its link ended is expired.
pub const UPLOAD_GRACE: Duration = Duration::from_secs(10 * 60);
/// A multipart upload that nobody finished.
pub const MULTIPART_TTL: Duration = Duration::from_secs(24 * 3600);

/// A JSON request body of the REST door.
pub const JSON_BODY_BYTES_MAX: usize = MIB as usize;
/// REST lists: default and largest page.
pub const PAGE_DEFAULT: u32 = 50;
pub const PAGE_MAX: u32 = 1000;
/// A REST request is answered within this (the live feed and downloads stream longer).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a client to send its request head, and between two pieces of a body: slow loris ends here.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A JSON body is small: a client that stops in it is told so well before [`REQUEST_TIMEOUT`] would blame the service.
pub const JSON_BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// After the idle grace a body must have averaged this many bytes a second.
pub const BODY_RATE_MIN: u64 = 1024;
/// Connections of one door at a time; descriptors stay free for files.
pub const CONNECTIONS_MAX: usize = 4096;
/// Of them for one address: a quarter stays for everybody else. No less, because behind a proxy all clients have one.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 3072;

/// DynamoDB: items in one transaction. Every adapter refuses more, so that what runs on one runs on all.
pub const CHANGES_MAX: usize = 100;
/// Announcements read and ingested in one go.
pub const INGEST_BATCH: u32 = 64;
/// Rules that may start from one object; a fan-out bomb ends here.
pub const RULES_PER_OBJECT_MAX: usize = 32;
/// Objects written by jobs may start further jobs at most this deep, whatever a rule says.
pub const GENERATIONS_MAX: u32 = 5;
/// Objects that are made of one upload over all generations, by default and at most: rules that feed rules could make
/// 32 * 32 * ... of it. All are named in one record, which stays below DynamoDB's 400 KB.
pub const DERIVED_OBJECTS_DEFAULT: usize = 1000;
pub const DERIVED_OBJECTS_MAX: usize = 10_000;

/// Chunks are at least this large: below it, per-chunk cost (a lease, a file, a commit) shows.
pub const CHUNK_BYTES_MIN: u64 = 8 * MIB;
/// A file up to this size is planned, processed and finished in one lease and one commit.
pub const ONE_LEASE_BYTES_MAX: u64 = MIB;
/// Chunk tasks of one job that exist at the same time. The rest is planned as these finish, so a job of 10,000 chunks
/// costs 64 rows, and one commit never nears [`CHANGES_MAX`].
pub const CHUNK_WINDOW: u32 = 64;
/// Live progress of one job: at most four messages a second.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// A lease is short, so that a lost worker's task is running again within 40 s (lease + poll).
pub const LEASE: Duration = Duration::from_secs(30);
/// A worker renews its lease three times before it would end.
pub const LEASE_RENEWALS: u32 = 3;
/// A task that moved no byte for this long is given up by its own worker.
pub const NO_PROGRESS_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The longest that one task may run, whatever its progress.
pub const TASK_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
/// Default attempts of a task, and the largest that a rule may ask for.
pub const ATTEMPTS_DEFAULT: u32 = 5;
pub const ATTEMPTS_MAX: u32 = 100;
/// Error codes that a retry policy may name.
pub const RETRY_CODES_MAX: usize = 32;
/// A job that failed because a task gave up keeps the chunks that were done for this long, so that a redrive does only
/// the others: a working day for the person who mends the cause.
pub const RESUMABLE_FOR: Duration = Duration::from_secs(24 * 3600);
/// Back-off never waits longer than this.
pub const BACKOFF_MAX: Duration = Duration::from_secs(24 * 3600);
/// A commit that lost its race is decided anew this often before the task is given back.
pub const DECISIONS_MAX: u32 = 16;
/// SIGTERM: running tasks get this long to finish before they are given back.
pub const DRAIN: Duration = Duration::from_secs(30);

/// An idle worker looks for tasks this often even if no bell rang: retries that became due, expired leases.
pub const WORKER_POLL: Duration = Duration::from_secs(1);
/// A store that did not answer is asked again after this, whatever bell rings: an outage is no reason to spin.
pub const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// Stored bytes are read again this fast: a disk does not feel it, and 20 TB are read in 30 days.
pub const SCRUB_BYTES_PER_SEC: u64 = 8 * MIB;
/// A round through all stored bytes begins this long after the one before began.
pub const SCRUB_EVERY: Duration = Duration::from_secs(30 * 24 * 3600);
/// A check-up counts everything that it finds, and shows this many of a kind.
pub const CHECKUP_EXAMPLES_MAX: usize = 10;
/// Objects and parts that are told of one damaged blob; copies share their bytes.
pub const DAMAGE_HOLDERS_MAX: u32 = 100;
/// A lease that cannot be given back for want of room is tried again this often, [`OUTAGE_PAUSE`] apart: about as long as it
/// lasts.
pub const RELEASES_MAX: u32 = 30;
/// How often the sweeper looks, and how much it takes at a time.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
pub const SWEEP_BATCH: u32 = 100;
/// Looking through the stores for bytes that nothing refers to is done in one sweep of this many.
pub const SWEEPS_PER_STORE_SWEEP: u32 = 60;
/// A value that records are found by: a key is the longest of them.
pub const RECORD_FIELD_BYTES_MAX: usize = KEY_BYTES_MAX;
/// Dead letters that a redrive puts back to work in a second, by default and at most: slow enough for whatever was broken
/// to break again before all of them have tried.
pub const REDRIVE_RATE_DEFAULT: u32 = 50;
pub const REDRIVE_RATE_MAX: u32 = 1000;
/// What is stored as done lies at most this far ahead by another machine's clock; further ahead, the clock was set back since.
pub const CLOCKS_APART_MAX: Duration = Duration::from_secs(10);
/// Dead letters that one request may name.
pub const REDRIVE_IDS_MAX: usize = 1000;
/// Receivers that the config may name: with all of them told of a job's end, one commit stays below [`CHANGES_MAX`].
pub const NOTIFY_RULES_MAX: usize = 16;
/// Receivers that one upload may name.
pub const UPLOAD_RECEIVERS_MAX: usize = 4;
/// A webhook's address: longer ones carry data, which belongs into the upload's metadata.
pub const RECEIVER_URL_BYTES_MAX: usize = 1000;
/// Notices on their way at a time, to all receivers and to any one: a slow receiver holds few threads.
pub const DELIVERIES_RUNNING_MAX: usize = 64;
pub const DELIVERIES_PER_LANE_MAX: usize = 4;
/// Mails on their way at a time, to all addresses: a mail server that answers late holds up no other receiver.
pub const MAILS_RUNNING_MAX: usize = 16;
/// One call of a receiver, and of a mail server, which looks through what it takes. A claim outlives it by so much that nobody
/// sends meanwhile what is being sent.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(300);
pub const DELIVERY_CLAIM_MARGIN: Duration = Duration::from_secs(25);
/// A notice that failed is tried again after this, and after three times as long each time: 12 tries in a day.
pub const DELIVERY_BACKOFF_FIRST: Duration = Duration::from_secs(5);
pub const DELIVERY_BACKOFF_MAX: Duration = Duration::from_secs(4 * 3600);
/// Then it is dead, and visible as such.
pub const DELIVERY_TTL: Duration = Duration::from_secs(24 * 3600);
/// Failures in a row after which a receiver counts as down: from then on one notice at a time finds out whether it is back.
pub const LANE_FAILURES_MAX: u32 = 3;
/// ...this often, so that all is told within a minute after a receiver came back.
pub const LANE_PROBE: Duration = Duration::from_secs(40);
/// A notice that has been tried so often is tried at its own times only: looks at a receiver that is down last for half an hour
/// even where one notice makes them all. And none is tried before its time sooner than this after the last try.
pub const DELIVERY_EARLY_TRIES_MAX: u32 = 70;
pub const DELIVERY_EARLY_PAUSE: Duration = Duration::from_secs(20);
/// A receiver that asks for more time than this is asked again anyway.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Mails to one address in a minute; more become one mail that lists them, of at most so many.
pub const MAILS_PER_MINUTE_MAX: usize = 20;
pub const DIGEST_NOTICES_MAX: usize = 100;
/// Alarms that the config may have, how often their figures are looked at, and how long their history is kept.
pub const ALARMS_MAX: usize = 64;
pub const ALARM_INTERVAL: Duration = Duration::from_secs(10);
pub const ALARM_HISTORY_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Rates are taken over this much time at most: it is counted anew with each look.
pub const ALARM_WINDOW_MAX: Duration = Duration::from_secs(3600);
/// Why a delivery failed, as kept.
pub const DELIVERY_ERROR_CHARS_MAX: usize = 500;
/// Jobs that a backfill starts in a second, by default and at most: new uploads must not wait behind it.
pub const BACKFILL_RATE_DEFAULT: u32 = 50;
pub const BACKFILL_RATE_MAX: u32 = 1000;
/// Files that are looked at to count what a backfill would start; a request must be answered in time.
pub const BACKFILL_COUNTED_MAX: u32 = 100_000;
/// How often buckets are compared with the records of their files: an announcement that got lost is made good within this.
pub const RECONCILE_EVERY: Duration = Duration::from_secs(600);
/// An announcement under way is not taken for lost: it arrives within this, or it is ingested twice, which harms nothing.
pub const RECONCILE_SETTLE: Duration = Duration::from_secs(30);
/// Live events kept for `Last-Event-ID`: a job makes four or five, so enough for a day of one job in five seconds.
pub const EVENTS_KEPT: u64 = 100_000;
/// A slow listener of the live feed is dropped behind this many events; it resumes by `Last-Event-ID`.
pub const LISTENER_BACKLOG: usize = 1024;
/// Live listeners of one process.
pub const LISTENERS_MAX: usize = 10_000;
/// Of them by one key. The service's own token may have all.
pub const LISTENERS_PER_KEY_MAX: usize = LISTENERS_MAX / 4;

/// Job metadata and options given with an upload, as JSON text.
pub const JOB_METADATA_BYTES_MAX: usize = 16 * 1024;
pub const JOB_OPTIONS_BYTES_MAX: usize = 256 * 1024;
/// A failure's detail, kept for the uploader; the rest is in the log.
pub const FAILURE_DETAIL_CHARS_MAX: usize = 2000;
/// The same, of each attempt in a dead letter's history.
pub const ATTEMPT_TEXT_CHARS_MAX: usize = 500;
/// Objects up to this size live in the state file (one sync for object, announcement and row); measured on SQLite,
/// larger values cost more there than a file.
pub const INLINE_BYTES_MAX: u64 = 64 * KIB;
/// New content leaves this much of the disk free, or this share of it if that is less: the state file goes on, so that
/// deletes work, and somebody can log in and make room.
pub const DISK_RESERVE_BYTES_MAX: u64 = GIB;
pub const DISK_RESERVE_PERCENT: u64 = 5;
/// Bytes read, transformed and written at a time: fits a core's L2 cache together with its output.
pub const IO_BLOCK_BYTES: usize = 256 * 1024;
/// What a survey notes for all chunks of a job, as JSON: it is read with each of them.
pub const SURVEY_NOTE_BYTES_MAX: usize = 256 * 1024;
/// Of a rejected record, what the reject file shows; the input has the rest.
pub const REJECT_RECORD_BYTES_MAX: usize = 16 * 1024;
/// A job's `summary`, and the metadata that a processor adds, as JSON.
pub const JOB_SUMMARY_BYTES_MAX: usize = 16 * 1024;
/// Records of any format: columns, one value, and a record as a whole. A spreadsheet has 16,384 columns; a value or record
/// beyond these is a file that was taken for something it is not, and would be held in memory.
pub const COLUMNS_MAX: usize = 16_384;
pub const VALUE_BYTES_MAX: usize = 8 * MIB as usize;
pub const RECORD_BYTES_MAX: usize = 16 * MIB as usize;
/// JSON nested deeper is an attack on whoever reads it by recursion.
pub const JSON_DEPTH_MAX: usize = 128;
/// Entries of an archive, and bytes of the manifest that names them: it is read into memory.
pub const ARCHIVE_ENTRIES_MAX: usize = 100_000;
pub const ARCHIVE_MANIFEST_BYTES_MAX: u64 = 16 * MIB;
/// A Markdown document is held in memory with its tree and its HTML, about six times its size: a book is 1 MiB.
pub const MARKDOWN_BYTES_MAX: u64 = 64 * MIB;
/// Text that `lines.prefix` may put before each line.
pub const PREFIX_BYTES_MAX: usize = 64 * 1024;

/// REST: a ticket for the live feed is used at once by the page that asked for it.
pub const TICKET_TTL: Duration = Duration::from_secs(30);
/// Tickets that are out and unused at a time: more means that somebody only collects them, and loses the oldest when another
/// asks.
pub const TICKETS_MAX: usize = 1000;
/// REST: how long an `Idempotency-Key` is remembered, how many, and how many bytes of answers (10,000 part links are
/// 5 MiB). The oldest is forgotten first.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 3600);
pub const IDEMPOTENCY_KEYS_MAX: usize = 10_000;
pub const IDEMPOTENCY_BYTES_MAX: usize = 16 * MIB as usize;
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;
/// Live feed: a frame from or to a WebSocket client.
pub const FEED_FRAME_BYTES_MAX: usize = MIB as usize;
/// Live feed: a sign of life goes out this often, so that proxies keep quiet connections open.
pub const FEED_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Live feed: a WebSocket client that answered no ping for this long is gone; one message may take as long to send.
pub const FEED_SILENCE_MAX: Duration = Duration::from_secs(45);

/// SQS: a queue's name.
pub const MESSAGE_QUEUE_NAME_BYTES_MAX: usize = 80;
/// Guards the list of message queues, and what a sweep walks through.
pub const MESSAGE_QUEUES_MAX: usize = 1000;
/// SQS: a message with its attributes, and a batch of them; the least that a queue's own limit may be.
pub const MESSAGE_BYTES_MAX: u32 = MIB as u32;
pub const MESSAGE_BYTES_MAX_MIN: u32 = KIB as u32;
/// SQS: messages of one call, and attributes of one message.
pub const MESSAGE_BATCH_MAX: usize = 10;
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;
/// SQS: how long a received message is invisible.
pub const MESSAGE_VISIBILITY_DEFAULT: Duration = Duration::from_secs(30);
pub const MESSAGE_VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600);
/// SQS: how long a message is kept.
pub const MESSAGE_RETENTION_MIN: Duration = Duration::from_secs(60);
pub const MESSAGE_RETENTION_DEFAULT: Duration = Duration::from_secs(4 * 86_400);
pub const MESSAGE_RETENTION_MAX: Duration = Duration::from_secs(14 * 86_400);
/// SQS: the longest delay of a message, and the longest wait of a receive.
pub const MESSAGE_DELAY_MAX: Duration = Duration::from_secs(900);
pub const MESSAGE_WAIT_MAX: Duration = Duration::from_secs(20);
/// SQS: `maxReceiveCount`.
pub const MESSAGE_RECEIVES_MAX: u32 = 1000;
/// SQS: messages of a standard queue that are received and not deleted.
pub const MESSAGES_IN_FLIGHT_MAX: u64 = 120_000;
/// A request to the message queues: a batch of 1 MiB in JSON or a form, with escapes that make three bytes of one.
pub const SQS_BODY_BYTES_MAX: u64 = 4 * MIB;
/// Such requests are held before their signature can be verified: all that are on their way in, together.
pub const SQS_BODIES_BYTES_MAX: u64 = 128 * MIB;
/// Keys that are not revoked: each is a person or a program that somebody should know.
pub const KEYS_MAX: u64 = 10_000;
/// Characters of a key's name, and the places that it may be limited to: they are looked through with every object listed.
pub const KEY_NAME_CHARS_MAX: usize = 100;
pub const KEY_PLACES_MAX: usize = 32;
/// Message queues that a key may be given.
pub const KEY_QUEUES_MAX: usize = 100;
/// A key that was revoked or has expired is shown for this long: somebody may ask who it was.
pub const KEY_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// A key is read anew after this, so that one revoked by another process opens nothing for longer.
pub const KEY_CACHE_TTL: Duration = Duration::from_secs(5);
/// Keys in memory, each found by its token, its access key and its id.
pub const KEYS_CACHED_MAX: usize = 30_000;
/// Live feed: whether its key still opens it is asked this often, besides at once when it is revoked here.
pub const FEED_KEY_CHECK: Duration = Duration::from_secs(60);
