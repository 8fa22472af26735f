//! Every gradient of a training step against central differences of the f64 reference, element by element.

mod case;
mod operations;
mod randwire;
