import VecDB

extension Metric {
  /// A row of a file as a collection of this metric takes it: under hamming, rows with an eighth of
  /// the dimensions are packed bits, a byte for eight of them, as `numpy.packbits` and the binary
  /// indexes of other libraries have them.
  func unpacked(_ row: [Float], dimensions: Int) -> [Float] {
    guard self == .hamming, row.count * 8 == dimensions else { return row }
    let bytes = row.compactMap { UInt8(exactly: $0) }
    return bytes.count == row.count ? PackedBits.unpack(bytes) : row
  }
}

extension VectorCollection {
  func unpacked(_ row: [Float]) -> [Float] { metric.unpacked(row, dimensions: dimensions) }
}
