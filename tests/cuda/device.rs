//! Opening devices and their memory.

use crate::support::device;
use graphpnas_fast::device::cuda::{Buffer, CudaError, Device, has_kernels};

#[test]
fn a_machine_without_a_device_gets_an_error_and_no_panic() {
    match Device::open(0) {
        Ok(_) => assert!(has_kernels()),
        Err(CudaError::NoKernels) => assert!(!has_kernels()),
        Err(CudaError::NoDriver | CudaError::NoDevice { .. } | CudaError::ImageRefused { .. }) => {
            assert!(has_kernels())
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let Some(_device) = device() else { return };
    let error = Device::open(1000).err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.starts_with("no CUDA device 1000: the driver reports ")));
}

#[test]
fn too_much_memory_is_refused_and_the_device_lives_on() {
    let Some(device) = device() else { return };
    let elements = 1 << 42;
    let error = Buffer::<f32>::zeros(&device, elements).err();
    assert!(matches!(error, Some(CudaError::OutOfMemory { bytes }) if bytes == 4 * elements), "{error:?}");
    let mut buffer = Buffer::copied(&device, &[1.0f32, 2.0, 3.0]).unwrap();
    buffer.write(1, &[5.0]).unwrap();
    assert_eq!(buffer.read(0..3).unwrap(), [1.0, 5.0, 3.0]);
    buffer.clear().unwrap();
    assert_eq!(buffer.read(1..2).unwrap(), [0.0]);
    assert!(Buffer::<f32>::zeros(&device, 0).unwrap().is_empty());
}
