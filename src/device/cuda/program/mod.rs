//! A batch of candidates laid out for the device: where every value, gradient, coefficient and partial sum lies, and on
//! which level every operation is. All sizes are known before the first step.

mod activating;
mod arena;
mod levels;
mod places;
mod refusals;

pub(super) use arena::Arena;
pub(super) use levels::levels;
pub(super) use places::{Candidate, IMAGES_A_GROUP, OpPlaces};
pub(super) use refusals::check_plans;

use super::error::CudaError;
use super::parameters::ParameterMap;
use super::records::{Chosen, Extents};
use super::storage::Storage;
use crate::net::{ImageShape, Plan};

/// A batch of candidates laid out for batches of `images` images.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub candidates: Vec<Candidate>,
    pub storage: Storage,
    /// Images of every candidate's batch.
    pub images: usize,
    /// Lengths of the arenas.
    pub extents: Extents,
    /// In floats: the images of all candidates, `image_floats` each.
    pub pixels: usize,
    pub image_floats: usize,
    /// In floats: the dropout factors of all candidates, `mask_floats` each.
    pub masks: usize,
    pub mask_floats: usize,
    /// In floats: for each candidate losses, then whether the label won; `result_floats` for each of the two.
    pub results: usize,
    pub result_floats: usize,
    /// Operations without the classifier, level by level: (candidate, operation).
    pub levels: Vec<Vec<(usize, usize)>>,
}

impl Program {
    /// Lays candidates out. Their images, classes and features before the classifier are alike.
    ///
    /// # Errors
    /// Plans that differ in these, or that the kernels do not run.
    pub(super) fn new(plans: &[Plan], images: usize, storage: Storage) -> Result<Self, CudaError> {
        let (mut maps, mut end) = (Vec::with_capacity(plans.len()), 0);
        for plan in plans {
            let map = ParameterMap::new(plan, end);
            end = map.end;
            maps.push(map);
        }
        Self::with_parameters(plans, maps, images, storage)
    }

    /// The same with places for the parameters of each.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn with_parameters(
        plans: &[Plan],
        maps: Vec<ParameterMap>,
        images: usize,
        storage: Storage,
    ) -> Result<Self, CudaError> {
        check_plans(plans)?;
        let parameters = maps.last().map_or(0, |map| map.end);
        let first = &plans[0];
        let ImageShape { channels, height, width } = first.image;
        let mut arena = Arena::default();
        let image_floats = super::records::padded(images * channels * height * width);
        let mask_floats = super::records::padded(images * super::records::padded(first.features()));
        let result_floats = super::records::padded(images);
        let pixels = arena.floats(plans.len() * image_floats);
        let masks = arena.floats(plans.len() * mask_floats);
        let results = arena.floats(plans.len() * 2 * result_floats);
        let mut candidates = Vec::with_capacity(plans.len());
        for (plan, map) in plans.iter().zip(maps) {
            candidates.push(Candidate::new(plan, map, (images, storage), &mut arena)?);
        }
        let levels = levels(plans);
        for level in &levels {
            arena.start_scratch();
            for &(candidate, number) in level {
                candidates[candidate].place_scratch(number, &mut arena);
            }
        }
        let labels = plans.len() * result_floats;
        let extents = Extents {
            values: arena.values_end(),
            floats: arena.floats_end(),
            parameters,
            labels,
            chosen: plans.len() * result_floats,
        };
        Ok(Program {
            candidates,
            storage,
            images,
            extents,
            pixels: pixels as usize,
            image_floats,
            masks: masks as usize,
            mask_floats,
            results: results as usize,
            result_floats,
            levels,
        })
    }

    /// Bytes of device memory for all arenas.
    pub(super) fn bytes(&self) -> usize {
        let weights = if self.storage == Storage::F32 { 0 } else { self.extents.parameters * self.storage.bytes() };
        let batches = size_of::<u32>() * self.extents.labels + size_of::<Chosen>() * self.extents.chosen;
        let floats = size_of::<f32>() * (self.extents.floats + 3 * self.extents.parameters);
        self.extents.values * self.storage.bytes() + floats + weights + batches
    }
}
