/// The distance kernels of one instruction set, as bare C function pointers.
///
/// A kernel set is a plain value without references: copy `KernelSet.current`, or one of its
/// pointers, into a local before a hot loop. All sets give the same integers and the same bits of
/// every float; they differ in speed alone.
///
/// **Float order.** Every sum of floats is taken over 16 lanes: lane l adds the elements j with
/// j mod 16 = l in ascending order, starting from +0, each product or square rounded before it is
/// added (never a fused multiply-add). The lanes are then halved: lane l takes lane l + 8, then
/// l + 4, l + 2, l + 1, and lane 0 is the result. With n = ⌈dimensions / 16⌉ terms a lane, the
/// error is at most (n + 7)·2⁻²⁴·Σ|terms| (Higham, Accuracy and Stability, section 3.1).
package struct KernelSet: Sendable {
  /// For i in 0..<n: out[i] = Σ rows[ids[i] · strideBytes + j] · query[j] over j below
  /// paddedDimensions, row bytes unsigned, query bytes signed, in wrapping Int32 (exact as long
  /// as there are at most 65,793 dimensions).
  ///
  /// `paddedDimensions` is a multiple of 64, at most `strideBytes`; rows are zero where padded, so
  /// the query may hold anything there. No alignment is needed; 64-byte aligned rows are fastest.
  /// Rows are prefetched a few ahead of use, so that one call for all neighbours of a node is the
  /// best shape.
  package typealias CodeGatherKernel =
    @Sendable @convention(c) (
      _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
      _ ids: UnsafePointer<UInt32>, _ n: Int, _ paddedDimensions: Int,
      _ out: UnsafeMutablePointer<Int32>
    ) -> Void

  /// The same sums over the consecutive rows firstRow..<firstRow + n.
  package typealias CodeRangeKernel =
    @Sendable @convention(c) (
      _ query: UnsafePointer<Int8>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
      _ firstRow: Int, _ n: Int, _ paddedDimensions: Int,
      _ out: UnsafeMutablePointer<Int32>
    ) -> Void

  /// One sum over two float vectors of any dimension and alignment of 4 bytes.
  package typealias FloatPairKernel =
    @Sendable @convention(c) (
      _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ dimensions: Int
    ) -> Float

  /// For i in 0..<n: out[i] = the sum over `query` and the floats at
  /// rows + ids[i] · strideBytes, bit for bit what the pair kernel gives, with several rows at a
  /// time and prefetch. `strideBytes` is a multiple of 4.
  package typealias FloatGatherKernel =
    @Sendable @convention(c) (
      _ query: UnsafePointer<Float>, _ rows: UnsafeRawPointer, _ strideBytes: Int,
      _ ids: UnsafePointer<UInt32>, _ n: Int, _ dimensions: Int,
      _ out: UnsafeMutablePointer<Float>
    ) -> Void

  /// out[j] = offset + scale · codes[j] for j in 0..<n, in two roundings.
  package typealias DecodeKernel =
    @Sendable @convention(c) (
      _ codes: UnsafePointer<UInt8>, _ n: Int, _ scale: Float, _ offset: Float,
      _ out: UnsafeMutablePointer<Float>
    ) -> Void

  /// For i in 0..<64 · words: bit i of out = bit min(ids[i], limit) of `table`.
  package typealias IDSelectionKernel =
    @Sendable @convention(c) (
      _ ids: UnsafePointer<UInt32>, _ words: Int, _ table: UnsafePointer<UInt32>, _ limit: UInt32,
      _ out: UnsafeMutablePointer<UInt64>
    ) -> Void

  /// Which instructions the kernels use.
  package let instructionSet: InstructionSet

  /// Integer inner products of a query with the rows of a list of ids.
  package let dotCodes: CodeGatherKernel
  /// Integer inner products of a query with consecutive rows.
  package let dotCodesRange: CodeRangeKernel
  /// Σ (a - b)² in the float order.
  package let squaredL2: FloatPairKernel
  /// Σ a · b in the float order.
  package let innerProduct: FloatPairKernel
  /// Σ (query - row)² for the rows of a list of ids.
  package let squaredL2Rows: FloatGatherKernel
  /// Σ query · row for the rows of a list of ids.
  package let innerProductRows: FloatGatherKernel
  /// u8 codes to floats.
  package let decodeCodes: DecodeKernel
  /// Minus the number of bits in which a query and the rows of a list of ids differ, over
  /// `paddedDimensions` *bytes*, which query and rows have in full.
  package let differingBits: CodeGatherKernel
  /// The same for consecutive rows.
  package let differingBitsRange: CodeRangeKernel

  /// Which ids of a run are in a set.
  package let selectIDs: IDSelectionKernel

  /// "portable", "avx2" or "avx512".
  package var name: String { instructionSet.rawValue }
}
