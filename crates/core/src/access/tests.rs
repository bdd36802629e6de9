//! The table of roles, written out by hand, and the arithmetic of places.

use super::*;
use crate::time::Timestamp;

fn place(text: &str) -> Place {
    Place::parse(text).expect(text)
}

fn tenant(name: &str) -> TenantName {
    TenantName::parse(name).expect(name)
}

fn tenancy() -> Tenancy {
    let named = [("acme-in", "acme"), ("acme-out", "acme"), ("beta-in", "beta"), ("plain", "default")];
    Tenancy::new(named.map(|(bucket, name)| (BucketName::parse(bucket).expect(bucket), tenant(name))))
}

#[test]
fn each_role_may_do_its_part_and_no_more() {
    use Scope::*;
    for (role, scopes) in [
        (Role::Uploader, vec![Upload, Read, Remove, Archive, Messages, Cancel]),
        (Role::Viewer, vec![Read, Rules, Inspect, Monitor]),
        (Role::Operator, vec![Read, Messages, Cancel, Operate, Rules, Inspect, Monitor, Maintain]),
        (Role::Admin, Scope::ALL.to_vec()),
    ] {
        let may: Vec<Scope> = Scope::ALL.into_iter().filter(|scope| role.may(*scope)).collect();
        assert_eq!(may, scopes, "{role:?}");
    }
    let confined: Vec<Role> = Role::ALL.into_iter().filter(|role| role.is_confined_to_its_own()).collect();
    assert_eq!(confined, [Role::Uploader]);
}

#[test]
fn names_of_roles_and_scopes_read_back() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.as_str()), Some(role));
        assert_eq!(serde_json::to_value(role).expect("json"), role.as_str());
    }
    for scope in Scope::ALL {
        assert_eq!(Scope::parse(scope.as_str()), Some(scope));
    }
}

#[test]
fn what_is_the_whole_services_is_for_nobody_of_a_tenant() {
    let mut admin = Principal::service();
    assert!(admin.may(Scope::Monitor) && admin.may(Scope::Service));
    admin.actor.tenant = Some(tenant("acme"));
    assert!(!admin.may(Scope::Monitor) && !admin.may(Scope::Service) && admin.may(Scope::Keys));
    let limited = Principal { is_limited: true, ..Principal::service() };
    for scope in [Scope::Monitor, Scope::Maintain, Scope::Service, Scope::Keys, Scope::Audit] {
        assert!(!limited.may(scope), "{scope:?}");
    }
    assert!(limited.may(Scope::Upload));
}

#[test]
fn a_tenant_reaches_its_own_buckets_only() {
    let tenancy = tenancy();
    let reach = |name: &str| Reach::of(None, Some(&tenant(name)), &[], &tenancy);
    for (name, within) in [
        ("acme", [true, true, false, false, false]),
        ("beta", [false, false, true, false, false]),
        ("default", [false, false, false, true, true]),
        ("nobody", [false; 5]),
    ] {
        let buckets = ["acme-in", "acme-out", "beta-in", "plain", "made-later"];
        assert_eq!(buckets.map(|bucket| reach(name).touches(bucket)), within, "{name}");
        assert_eq!(buckets.map(|bucket| reach(name).takes(bucket, "k", None)), within, "{name}");
    }
    assert!(Reach::of(None, None, &[], &tenancy).is_everything());
}

#[test]
fn limits_never_lead_out_of_the_tenant() {
    let limits = [place("acme-in/a/"), place("beta-in"), place("plain")];
    let acme = Reach::of(None, Some(&tenant("acme")), &limits, &tenancy());
    assert_eq!(acme.only, Some(vec![place("acme-in/a/")]));
    assert!(acme.takes("acme-in", "a/x", None) && !acme.takes("acme-in", "ab", None));
    assert_eq!(acme.prefixes_in("acme-in"), Some(vec!["a/"]));
    let default = Reach::of(None, Some(&default_tenant()), &limits, &tenancy());
    assert!(default.touches("plain") && !default.touches("beta-in") && !default.touches("acme-in"));
    assert_eq!(default.prefixes_in("plain"), None);
}

#[test]
fn an_owner_reaches_what_it_brought_and_nothing_without_an_owner() {
    let [own, other] = [1, 2].map(|n| KeyId::new(Timestamp::ZERO, [n; 10]));
    let reach = Reach::of(Some(own.clone()), None, &[], &Tenancy::default());
    assert!(reach.takes("b", "k", Some(&own)));
    assert!(!reach.takes("b", "k", Some(&other)) && !reach.takes("b", "k", None));
    assert!(!Reach::nothing().takes("b", "k", None) && !Reach::nothing().touches("b"));
}

#[test]
fn nobody_gives_rights_outside_of_their_tenant() {
    let all = Principal::service();
    assert!(all.may_give_rights_in(None) && all.may_give_rights_in(Some(&tenant("acme"))));
    let mut acme = Principal::service();
    acme.actor.tenant = Some(tenant("acme"));
    assert!(acme.may_give_rights_in(Some(&tenant("acme"))));
    assert!(!acme.may_give_rights_in(None) && !acme.may_give_rights_in(Some(&tenant("beta"))));
}

#[test]
fn places_are_text_and_back() {
    for text in ["bucket", "bucket/a", "bucket//", "bucket/a/b/"] {
        assert_eq!(place(text).to_string(), text);
    }
    for bad in ["", "B", "bucket/\0", &format!("bucket/{}", "k".repeat(1025))] {
        assert!(Place::parse(bad).is_err(), "{bad:?}");
    }
    let reach = Reach { only: Some(vec![place("bucket/a")]), ..Reach::default() };
    let stored = serde_json::to_string(&reach).expect("json");
    assert_eq!(stored, r#"{"only":["bucket/a"]}"#);
    assert_eq!(serde_json::from_str::<Reach>(&stored).expect("reads"), reach);
    assert_eq!(serde_json::from_str::<Reach>("{}").expect("of an older version"), Reach::everything());
}
