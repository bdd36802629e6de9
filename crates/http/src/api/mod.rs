//! The REST door: one function per route in the file of its noun, and here the list of them all.
//!
//! A request is parsed strictly into a typed wish, the engine answers, and a view or a problem document goes back.
//! Nothing is decided and nothing is stored here, except keys and tickets that may be forgotten.

mod alarms;
mod archives;
mod audit;
mod auth;
mod backfills;
mod chance;
mod cursor;
mod damage;
mod dead_letters;
mod deliveries;
mod extract;
mod files;
mod findings;
mod health;
mod idempotency;
mod jobs;
mod keeping;
mod keys;
mod links;
mod live;
mod observe;
mod openapi;
mod problem;
mod queues;
mod reconcile;
mod redrives;
mod rules;
mod scopes;
mod tickets;
mod uploads;
mod views;

pub use openapi::document as openapi_document;

use crate::metrics::PrometheusHandle;
use crate::pace::{Pace, Rates};
use crate::serve::{self, Patience};
use auth::Token;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Html;
use axum::routing::get;
use filemill_core::limits;
use filemill_core::ports::Keeper;
use filemill_engine::Engine;
use hyper_util::service::TowerToHyperService;
use problem::Problem;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the REST door is told.
pub struct ApiConfig {
    pub engine: Engine,
    /// `None`: the stores are looked after by their own means.
    pub keeper: Option<Arc<dyn Keeper>>,
    pub admin_token: String,
    /// `None`: `/metrics` answers 404.
    pub metrics: Option<PrometheusHandle>,
    /// Origins of pages elsewhere that may call this API and listen to its feed, such as `https://console.example`.
    pub allowed_origins: Vec<String>,
    pub rates: Rates,
    /// Of the running program, for `/metrics` and the front page.
    pub version: String,
}

/// The door, ready to open.
pub struct ApiDoor {
    state: ApiState,
}

/// What handlers share.
pub type ApiState = Arc<Shared>;

pub struct Shared {
    engine: Engine,
    keeper: Option<Arc<dyn Keeper>>,
    /// One backup at a time.
    backups: Arc<Semaphore>,
    checkups: Arc<Semaphore>,
    admin_token: Token,
    metrics: Option<PrometheusHandle>,
    allowed_origins: Vec<String>,
    version: String,
    /// What each route needs.
    needs: scopes::Needs,
    /// The OpenAPI document.
    document: String,
    pace: Pace,
    tickets: tickets::Tickets,
    replays: idempotency::Replays,
    readiness: health::Readiness,
    listeners: Arc<live::Places>,
    /// Open WebSockets; they outlive their HTTP connection.
    feeds: TaskTracker,
    closing: CancellationToken,
}

impl ApiDoor {
    pub fn new(config: ApiConfig) -> Self {
        // the document is open to all, so it tells nothing of what an operator defined
        let document = openapi::document(config.engine.built_in_processors());
        let state = Arc::new(Shared {
            needs: scopes::Needs::read(&document),
            document,
            engine: config.engine,
            keeper: config.keeper,
            backups: Arc::new(Semaphore::new(1)),
            checkups: Arc::new(Semaphore::new(1)),
            admin_token: Token::new(&config.admin_token),
            metrics: config.metrics,
            allowed_origins: config.allowed_origins,
            version: config.version,
            pace: Pace::new(config.rates),
            tickets: tickets::Tickets::default(),
            replays: idempotency::Replays::default(),
            readiness: health::Readiness::default(),
            listeners: Arc::default(),
            feeds: TaskTracker::new(),
            closing: CancellationToken::new(),
        });
        ApiDoor { state }
    }

    /// The whole service without a listener, for tests and for embedding.
    pub fn router(&self) -> Router {
        let state = &self.state;
        let once = once_routes().route_layer(from_fn_with_state(state.clone(), idempotency::once_per_key));
        let admit = || from_fn_with_state(state.clone(), auth::admit);
        let answers = open_routes().merge(guarded_routes()).merge(once);
        let answers = Router::from(answers).route_layer(admit()).route_layer(from_fn(observe::limit_time));
        let unhurried = Router::from(feed_routes().merge(unhurried_routes())).route_layer(admit());
        let router = Router::new()
            .route("/", get(front_page))
            .merge(answers)
            .merge(unhurried)
            .method_not_allowed_fallback(wrong_method)
            .fallback(no_route)
            .layer(CatchPanicLayer::custom(observe::after_panic))
            .layer(from_fn(observe::observe));
        self.with_cors(router).with_state(state.clone())
    }

    fn with_cors(&self, router: Router<ApiState>) -> Router<ApiState> {
        let origins: Vec<HeaderValue> = self.state.allowed_origins.iter().filter_map(|o| o.parse().ok()).collect();
        if origins.is_empty() {
            return router;
        }
        let last_event_id = HeaderName::from_static("last-event-id");
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, idempotency::IDEMPOTENCY_KEY, last_event_id])
            .expose_headers([header::LOCATION, header::RETRY_AFTER]);
        router.layer(cors)
    }

    /// Serves until `stop` is cancelled, then ends the feeds, lets running requests finish and returns.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let patience = Patience::default();
        let of_bodies = Patience { body_idle: limits::JSON_BODY_IDLE_TIMEOUT, ..patience };
        let service = self.router().map_request(move |request| serve::guard(request, of_bodies));
        tokio::join!(
            serve::serve("rest", listener, TowerToHyperService::new(service), patience, stop.clone()),
            self.close_feeds(&stop),
            self.keep_memory_small(&stop),
        );
        self.state.feeds.wait().await;
    }

    async fn close_feeds(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        self.state.closing.cancel();
        self.state.feeds.close();
    }

    /// Histograms gather samples until they are folded, and rate limits remember who asked; without this both would grow
    /// while nobody looks.
    async fn keep_memory_small(&self, stop: &CancellationToken) {
        let mut beat = tokio::time::interval(Duration::from_secs(5));
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            self.state.pace.forget_quiet();
            if let Some(recorder) = &self.state.metrics {
                recorder.run_upkeep();
            }
        }
    }
}

/// All routes, for the document.
fn routes() -> OpenApiRouter<ApiState> {
    open_routes().merge(guarded_routes()).merge(once_routes()).merge(feed_routes()).merge(unhurried_routes())
}

/// Without a token.
fn open_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(openapi::skeleton())
        .routes(routes!(openapi::get_document))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// For who may do what they declare.
fn guarded_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(uploads::get_upload))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::get_job))
        .routes(routes!(jobs::get_result))
        .routes(routes!(jobs::get_rejects))
        .routes(routes!(findings::list_findings))
        .routes(routes!(findings::summarise_findings))
        .routes(routes!(files::list_files))
        .routes(routes!(files::get_file, files::delete_file))
        .routes(routes!(files::download_file))
        .routes(routes!(rules::list_rules))
        .routes(routes!(rules::list_processors))
        .routes(routes!(rules::explain_rules))
        .routes(routes!(alarms::list_alarms))
        .routes(routes!(alarms::list_alarm_history))
        .routes(routes!(deliveries::list_deliveries))
        .routes(routes!(deliveries::get_delivery))
        .routes(routes!(audit::list_audit_log))
        .routes(routes!(queues::list_queues))
        .routes(routes!(queues::list_dead_letters_of_queue))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(dead_letters::group_dead_letters))
        .routes(routes!(dead_letters::get_dead_letter, dead_letters::discard_dead_letter))
        .routes(routes!(redrives::list_redrives))
        .routes(routes!(redrives::get_redrive))
        .routes(routes!(backfills::list_backfills))
        .routes(routes!(backfills::get_backfill))
        .routes(routes!(reconcile::start_reconcile, reconcile::get_reconcile))
        .routes(routes!(keys::list_keys, keys::create_key))
        .routes(routes!(keys::get_key, keys::revoke_key))
        .routes(routes!(keys::rotate_key))
        .routes(routes!(tickets::create_ticket))
        .routes(routes!(damage::list_damage))
        .routes(routes!(health::metrics))
}

/// For who may do what they declare; an `Idempotency-Key` makes repeating them harmless.
fn once_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(uploads::create_upload))
        .routes(routes!(archives::create_archive))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(backfills::create_backfill))
        .routes(routes!(backfills::cancel_backfill))
        .routes(routes!(jobs::retry_job))
        .routes(routes!(dead_letters::redrive_dead_letter))
        .routes(routes!(dead_letters::discard_dead_letters))
        .routes(routes!(queues::redrive_queue))
        .routes(routes!(redrives::create_redrive))
        .routes(routes!(redrives::cancel_redrive))
        .routes(routes!(deliveries::resend_delivery))
}

/// For who may do what they declare, and without a time limit.
fn unhurried_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(keeping::check_up)).routes(routes!(keeping::back_up))
}

/// For who may listen, with a token or a ticket, and without a time limit.
fn feed_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(live::listen_by_socket)).routes(routes!(live::listen_by_events))
}

async fn front_page() -> Html<&'static str> {
    Html(concat!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Filemill</title><h1>Filemill</h1>",
        "<p>A file-processing service. This is its REST API: ",
        "<a href=\"/openapi.json\">/openapi.json</a> describes it, <a href=\"/readyz\">/readyz</a> tells its state.</p></html>\n",
    ))
}

async fn no_route(request: Request) -> Problem {
    let path: String = request.uri().path().chars().take(200).collect();
    Problem::new(StatusCode::NOT_FOUND, "route_not_found", format!("there is no route {path:?}; see /openapi.json"))
}

async fn wrong_method(request: Request) -> Problem {
    let detail = format!("this route does not take {}", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
