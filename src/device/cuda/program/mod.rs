//! A batch of candidates laid out for the device: where every value, gradient, coefficient and partial sum lies, and on
//! which level every operation is. All sizes are known before the first step.

mod arena;
mod levels;
mod places;

pub(super) use arena::Arena;
pub(super) use levels::levels;
pub(super) use places::{Candidate, IMAGES_A_GROUP, OpPlaces};

use super::error::CudaError;
use super::parameters::ParameterMap;
use super::records::{Chosen, Extents};
use super::storage::Storage;
use crate::net::{ImageShape, OpKind, Plan};

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
        check_plans(plans)?;
        let first = &plans[0];
        let ImageShape { channels, height, width } = first.image;
        let mut arena = Arena::default();
        let image_floats = super::records::padded(images * channels * height * width);
        let mask_floats = super::records::padded(images * super::records::padded(features(first)));
        let result_floats = super::records::padded(images);
        let pixels = arena.floats(plans.len() * image_floats);
        let masks = arena.floats(plans.len() * mask_floats);
        let results = arena.floats(plans.len() * 2 * result_floats);
        let mut candidates = Vec::with_capacity(plans.len());
        let mut parameters = 0;
        for plan in plans {
            let map = ParameterMap::new(plan, parameters);
            parameters = map.end;
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

/// Channels of the classifier's input.
pub(super) fn features(plan: &Plan) -> usize {
    plan.ops.last().and_then(|op| op.inputs.first()).map_or(0, |input| plan.values[input.0].channels)
}

/// Refuses plans that cannot be trained together.
pub(super) fn check_plans<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Result<(), CudaError> {
    let mut plans = plans.into_iter().peekable();
    let Some(&first) = plans.peek() else { return Err(CudaError::Plan("no network".into())) };
    for plan in plans {
        let shared = [
            ("channels of images", first.image.channels, plan.image.channels),
            ("rows of images", first.image.height, plan.image.height),
            ("columns of images", first.image.width, plan.image.width),
            ("classes", first.classes, plan.classes),
            ("features", features(first), features(plan)),
        ];
        if let Some(&(what, first, other)) = shared.iter().find(|(_, first, other)| first != other) {
            return Err(CudaError::Batch { what, first, other });
        }
        check_operations(plan)?;
        let head = plan.ops.iter().rev().nth(1).map(|op| op.kind);
        let ends = matches!(plan.ops.last().map(|op| op.kind), Some(OpKind::Classifier { .. }));
        if !ends || !matches!(head, Some(OpKind::Pointwise { .. })) {
            return Err(CudaError::Plan("it does not end with a pointwise convolution and a classifier".into()));
        }
    }
    Ok(())
}

/// The answer to an operation that has no kernel.
fn not_yet(kind: OpKind) -> CudaError {
    CudaError::Plan(format!("it has the operation `{}`, which only the CPU does", kind.describe()))
}

/// Refuses operations that have no kernel.
fn check_operations(plan: &Plan) -> Result<(), CudaError> {
    let unknown = |kind: &OpKind| kind.activates_inputs() || matches!(kind, OpKind::Classifier { relu: false, .. });
    match plan.ops.iter().map(|op| op.kind).find(unknown) {
        Some(kind) => Err(not_yet(kind)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Dag;
    use crate::net::{EnasShape, LayerOperator, enas};

    #[test]
    fn operations_without_kernels_are_refused_by_name() {
        let image = ImageShape { channels: 3, height: 8, width: 8 };
        let shape = EnasShape { image, channels: 4, classes: 10 };
        let plan = enas(&[LayerOperator::Separable(5)], &Dag::without_edges(1).unwrap(), &shape);
        let error = Program::new(&[plan], 4, Storage::F32).err().unwrap().to_string();
        let expected =
            "a plan that the CUDA kernels do not run: it has the operation `dense 1x1`, which only the CPU does";
        assert_eq!(error, expected);
    }
}
