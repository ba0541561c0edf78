//! Describes what a request asks for: kinds and verbs, paths made of names, selectors, field validation. Pure.

mod field_validation;
mod kind;
mod malformed;
mod path;
mod selector;

pub use field_validation::FieldValidation;
pub use kind::{Resource, Verb};
pub use malformed::Malformed;
pub use path::{Namespaces, Object, Path, Review};
pub use selector::Selector;
