//! Launches of the operations that activate every input by itself.

use super::super::error::CudaError;
use super::super::records::{
    Convolution, ConvolutionInput, ConvolutionWeight, Join, JoinBack, PoolingBackward, PoolingTask, SeparableTask,
    SeparableWeight, Table,
};
use super::Argument::Memory;
use super::{Arenas, Kernel};

impl Kernel {
    const JOIN: Kernel = Kernel { image: "join", name: "join" };
    const JOIN_BACK: Kernel = Kernel { image: "join", name: "join_back" };
    const CONVOLUTION: Kernel = Kernel { image: "convolution", name: "convolution" };
    const CONVOLUTION_INPUT: Kernel = Kernel { image: "convolution", name: "convolution_input" };
    const CONVOLUTION_WEIGHT: Kernel = Kernel { image: "convolution", name: "convolution_weight" };
    const POOL_WINDOWS: Kernel = Kernel { image: "pooling", name: "pool_windows" };
    const POOL_WINDOWS_BACK: Kernel = Kernel { image: "pooling", name: "pool_windows_back" };
    const SEPARABLE: Kernel = Kernel { image: "separable", name: "separable" };
    const SEPARABLE_WEIGHT: Kernel = Kernel { image: "separable", name: "separable_weight" };
}

impl Arenas {
    /// Sums and concatenations of activated inputs, and their moments.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn join(&self, table: &Table<Join>) -> Result<(), CudaError> {
        self.call(Kernel::JOIN, table)?.run(&[
            Memory(table.lists.joins.memory()),
            Memory(self.floats.memory()),
            Memory(self.values.memory()),
        ])
    }

    /// Gradients of values that were joined, and their channel sums.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn join_back(&self, table: &Table<JoinBack>) -> Result<(), CudaError> {
        self.call(Kernel::JOIN_BACK, table)?.run(&[
            Memory(table.lists.joins.memory()),
            Memory(self.floats.memory()),
            Memory(self.values.memory()),
        ])
    }

    /// Dense convolutions, and their results' moments.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn convolution(&self, table: &Table<Convolution>) -> Result<(), CudaError> {
        self.product(Kernel::CONVOLUTION, table)?.run(&[
            Memory(self.values.memory()),
            Memory(self.product_weights()),
            Memory(self.floats.memory()),
        ])
    }

    /// Gradients of the inputs of [`convolution`](Self::convolution).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn convolution_input(&self, table: &Table<ConvolutionInput>) -> Result<(), CudaError> {
        self.product(Kernel::CONVOLUTION_INPUT, table)?
            .run(&[Memory(self.values.memory()), Memory(self.product_weights())])
    }

    /// Gradients of the weights of [`convolution`](Self::convolution).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn convolution_weight(&self, table: &Table<ConvolutionWeight>) -> Result<(), CudaError> {
        self.product(Kernel::CONVOLUTION_WEIGHT, table)?
            .run(&[Memory(self.values.memory()), Memory(self.floats.memory())])
    }

    /// Average and max pooling.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn pool_windows(&self, table: &Table<PoolingTask>) -> Result<(), CudaError> {
        self.call(Kernel::POOL_WINDOWS, table)?.run(&[Memory(self.values.memory())])
    }

    /// Backward of [`pool_windows`](Self::pool_windows).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn pool_windows_back(&self, table: &Table<PoolingBackward>) -> Result<(), CudaError> {
        self.call(Kernel::POOL_WINDOWS_BACK, table)?.run(&[Memory(self.values.memory())])
    }

    /// Depthwise convolutions of activated inputs; flipped, their gradients.
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn separable(&self, table: &Table<SeparableTask>) -> Result<(), CudaError> {
        self.call(Kernel::SEPARABLE, table)?.run(&[Memory(self.parameters.memory()), Memory(self.values.memory())])
    }

    /// Gradients of the weights of [`separable`](Self::separable).
    ///
    /// # Errors
    /// Short memory; the driver's.
    pub fn separable_weight(&self, table: &Table<SeparableWeight>) -> Result<(), CudaError> {
        self.call(Kernel::SEPARABLE_WEIGHT, table)?.run(&[Memory(self.values.memory()), Memory(self.floats.memory())])
    }
}
