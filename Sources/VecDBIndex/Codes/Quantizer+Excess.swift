/// How far a vector lies outside the range of the codes, and how far it may.
extension Quantizer {
  /// The squared distance from a vector to its nearest point within the range, in code units. In
  /// one fixed order.
  func excess(of vector: UnsafePointer<Float>, dimensions: Int) -> Float {
    var sum: Float = 0
    for j in 0..<dimensions {
      let position = (vector[j] - offset) * inverseScale
      let beyond = position < 0 ? position : position > 255 ? position - 255 : 0
      let square = beyond * beyond
      sum += square
    }
    return sum
  }

  /// How far a vector may lie outside before its codes count as wrong without a measurement. The
  /// limit is the sum of two parts: four times the excess of all but one of a hundred vectors of
  /// the sample, and an eighth of the distance between a vector and its nearest one of the sample.
  /// A vector that moves by an eighth of that distance keeps its neighbours, whatever the scale of
  /// the data is.
  ///
  /// `vector` hands out the i-th of `count` vectors, and the pointer stays valid until the next
  /// call.
  func excessLimit(
    dimensions: Int, count: Int, vector: (Int) -> UnsafePointer<Float>
  ) -> Float {
    let sample = min(count, 1_024)
    let found = (0..<sample).map {
      excess(of: vector($0 * count / sample), dimensions: dimensions)
    }.sorted()
    guard let usual = sample > 0 ? found[(sample - 1) - sample / 100] : nil else {
      return .infinity
    }
    let nearest = nearestInSample(dimensions: dimensions, count: count, vector: vector)
    return usual * 4 + max(16, nearest * (1 / 64))
  }

  /// The usual squared distance between a vector and its nearest one of the sample, in squared code
  /// units: the median of a few vectors. Copies of a vector do not count as its nearest one.
  private func nearestInSample(
    dimensions: Int, count: Int, vector: (Int) -> UnsafePointer<Float>
  ) -> Float {
    let probes = min(count, 16)
    let others = min(count, 256)
    var points: [Float] = []
    points.reserveCapacity(probes * dimensions)
    for probe in 0..<probes {
      points.append(
        contentsOf: UnsafeBufferPointer(start: vector(probe * count / probes), count: dimensions))
    }
    var nearest = [Double](repeating: .infinity, count: probes)
    for other in 0..<others {
      let values = vector(other * count / others)
      points.withUnsafeBufferPointer { points in
        guard let base = points.baseAddress else { return }
        for probe in 0..<probes {
          let square = VectorNorm.squaredDistance(
            base + probe * dimensions, values, dimensions: dimensions)
          if square > 0, square < nearest[probe] { nearest[probe] = square }
        }
      }
    }
    let finite = nearest.filter(\.isFinite).sorted()
    guard !finite.isEmpty else { return 0 }
    let units = finite[finite.count / 2] * Double(inverseScale) * Double(inverseScale)
    return units < Double(Float.greatestFiniteMagnitude) ? Float(units) : .greatestFiniteMagnitude
  }
}
