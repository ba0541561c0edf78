//! Describes what a request asks for: kinds and verbs, paths made of names, selectors, field validation. Pure.

mod field_validation;
mod kind;
mod malformed;
mod managed_fields;
mod path;
mod selector;

k8s_openapi::k8s_if_1_33! {
    /// The version of Kubernetes whose types this crate reads; a test cluster may be newer or older.
    pub const KUBERNETES_API: &str = "1.33";
}

pub use field_validation::FieldValidation;
pub use kind::{KueueVersion, Resource, Verb};
pub use malformed::Malformed;
pub use managed_fields::WithoutFields;
pub(crate) use managed_fields::read_of_managed_fields;
pub use path::{Namespaces, Object, Path, Review};
pub use selector::Selector;
