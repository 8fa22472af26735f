//! What cannot be trained on the device, or not together.

use super::super::error::CudaError;
use crate::net::{Op, OpKind, Plan, ValueShape, Window};

/// Refuses plans that cannot be trained together.
pub(in super::super) fn check_plans<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Result<(), CudaError> {
    let mut plans = plans.into_iter().peekable();
    let Some(&first) = plans.peek() else { return Err(refused("no network")) };
    for plan in plans {
        let shared = [
            ("channels of images", first.image.channels, plan.image.channels),
            ("rows of images", first.image.height, plan.image.height),
            ("columns of images", first.image.width, plan.image.width),
            ("classes", first.classes, plan.classes),
            ("features", first.features(), plan.features()),
        ];
        if let Some(&(what, first, other)) = shared.iter().find(|(_, first, other)| first != other) {
            return Err(CudaError::Batch { what, first, other });
        }
        check_operations(plan)?;
        check_end(plan)?;
        check_readers(plan)?;
    }
    Ok(())
}

fn refused(why: &str) -> CudaError {
    CudaError::Plan(why.into())
}

/// Refuses operations that have no kernel.
fn check_operations(plan: &Plan) -> Result<(), CudaError> {
    let known = |kind: &OpKind| match *kind {
        OpKind::Separable { window: Window { size, stride, shift }, .. } => {
            (3..=5).contains(&size) && size != 4 && (stride, shift) == (1, 0)
        }
        OpKind::Convolution { window, .. } | OpKind::Pool { window, .. } => {
            (1..=5).contains(&window.size) && (1..=2).contains(&window.stride) && window.shift <= 1
        }
        _ => true,
    };
    match plan.ops.iter().map(|op| op.kind).find(|kind| !known(kind)) {
        Some(kind) => {
            Err(CudaError::Plan(format!("it has the operation `{}`, which only the CPU does", kind.describe())))
        }
        None => Ok(()),
    }
}

/// Refuses plans whose last operation is no classifier, or whose classifier reads what has no gradient of its own.
fn check_end(plan: &Plan) -> Result<(), CudaError> {
    let Some(Op { kind: OpKind::Classifier { .. }, inputs, .. }) = plan.ops.last() else {
        return Err(refused("it does not end with a classifier"));
    };
    let before = plan.ops.iter().rev().nth(1);
    let fits = before.is_some_and(|op| {
        let head = matches!(op.kind, OpKind::Pointwise { .. }) || op.kind.activates_inputs();
        head && inputs[..] == [op.output]
    });
    match fits {
        true => Ok(()),
        false => Err(refused(
            "its classifier does not read the operation before it, or that is neither a pointwise convolution of a mean nor \
             one that joins its inputs",
        )),
    }
}

/// Refuses values that are weighted by one reader and joined by another, or read beside the classifier.
fn check_readers(plan: &Plan) -> Result<(), CudaError> {
    let reader = |kind: OpKind| match kind {
        OpKind::Classifier { .. } => Reader::Classifier,
        kind if kind.activates_inputs() => Reader::Joins,
        _ => Reader::Weighs,
    };
    for (number, ValueShape { relu, .. }) in plan.values.iter().enumerate() {
        let reads = |op: &&Op| op.inputs.iter().any(|input| input.0 == number);
        let readers: Vec<Reader> = plan.ops.iter().filter(reads).map(|op| reader(op.kind)).collect();
        let first = readers.first().copied();
        if readers.iter().any(|&reader| Some(reader) != first)
            || (first == Some(Reader::Classifier) && readers.len() > 1)
            || (first == Some(Reader::Weighs) && *relu)
        {
            return Err(refused(
                "a value is weighted by one operation and activated by another, or read beside the classifier",
            ));
        }
    }
    Ok(())
}

/// How a value is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Weighs,
    Joins,
    Classifier,
}

#[cfg(test)]
mod tests {
    use super::super::Program;
    use super::*;
    use crate::device::cuda::Storage;
    use crate::net::{After, ConvolutionShape, ImageShape, PlanBuilder};

    fn error(build: impl FnOnce(&mut PlanBuilder)) -> Option<String> {
        let mut builder = PlanBuilder::new(ImageShape { channels: 3, height: 8, width: 8 }, 10);
        build(&mut builder);
        Program::new(&[builder.finish()], 4, Storage::F32).err().map(|error| error.to_string())
    }

    #[test]
    fn operations_without_kernels_are_refused_by_name() {
        let build = |window: Window| {
            error(|builder| {
                let stem = builder.stem(8, 1, After::NormRelu);
                let shape = ConvolutionShape { inputs: 8, outputs: 8, window };
                let last = builder.separable("last", vec![stem], shape, After::Norm);
                builder.classifier(last, true);
            })
        };
        assert_eq!(build(Window::new(5, 1)), None);
        let expected = "a plan that the CUDA kernels do not run: it has the operation `separable 3x3 / 2`, which only the CPU does";
        assert_eq!(build(Window::new(3, 2)).as_deref(), Some(expected));
    }

    #[test]
    fn values_that_are_read_in_two_ways_are_refused() {
        let two_ways = error(|builder| {
            let stem = builder.stem(8, 1, After::Norm);
            let node = builder.node("node", vec![stem], 8, 1);
            let sum = builder.sum("sum", vec![stem, node], After::Nothing);
            builder.classifier(sum, false);
        });
        assert!(two_ways.is_some_and(|text| text.contains("weighted by one operation and activated by another")));
        let no_head = error(|builder| {
            let stem = builder.stem(8, 1, After::Norm);
            builder.classifier(stem, true);
        });
        assert!(no_head.is_some_and(|text| text.contains("does not read the operation before it")));
    }
}
