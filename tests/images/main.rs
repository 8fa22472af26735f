//! Images from files: their pixels against Pillow's, the packed file, what is wrong with them, and how they are fetched.

mod damage;
mod fetch;
mod packing;
mod pixels;
mod support;
