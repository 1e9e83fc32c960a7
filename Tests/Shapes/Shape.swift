/// A kind of data that people have: where records lie, and what is asked of them.
///
/// A shape is a function of its seed. `record(index, count)` is the record inserted at that place of
/// so many; `query(index)` is a fresh one of the same distribution, which is no record.
package struct Shape: Sendable {
  package let name: String
  /// Why it is here: what went wrong with such data, somewhere.
  package let about: String
  package let dimensions: Int
  package let count: Int
  /// How data that comes later differs: multiplied, then moved by so many times its mean size.
  package var drift = (scale: 4.0, shift: 6.0)
  /// The state that records share, made once: centres, directions, scales.
  let make: @Sendable (inout ShapeGenerator) -> Source

  /// A record of a place among `count`, from a generator of its own.
  package typealias Source =
    @Sendable (
      _ index: Int, _ count: Int, _ generator: inout ShapeGenerator
    ) -> [Double]

  init(
    _ name: String, _ about: String, dimensions: Int, count: Int = 8_000,
    drift: (scale: Double, shift: Double) = (4, 6),
    make: @escaping @Sendable (inout ShapeGenerator) -> Source
  ) {
    self.name = name
    self.about = about
    self.dimensions = dimensions
    self.count = count
    self.drift = drift
    self.make = make
  }
}

/// The data of a shape.
package struct ShapeData: Sendable {
  /// The first records, in the order of insertion.
  package var base: [[Float]] = []
  /// Of the same distribution, to replace some.
  package var fresh: [[Float]] = []
  /// Of another one, that comes later.
  package var late: [[Float]] = []
  /// Fresh queries like the first records, and like those that come later.
  package var queries: [[Float]] = []
  package var lateQueries: [[Float]] = []

  /// - Parameter count: records; nil takes the shape's own number.
  package init(_ shape: Shape, count wanted: Int? = nil, queries queryCount: Int, seed: UInt64 = 7)
  {
    let count = wanted ?? shape.count
    var generator = ShapeGenerator(seed: seed)
    let source = shape.make(&generator)
    func records(_ count: Int, of total: Int, stream: UInt64) -> [[Double]] {
      var generator = ShapeGenerator(seed: seed &* 1_000_003 &+ stream)
      return (0..<count).map { index in
        var vector = source(index, total, &generator)
        // No metric of angles has an answer for a vector of zeros.
        if vector.allSatisfy({ $0 == 0 }) { vector[index % vector.count] = 1 }
        return vector
      }
    }
    let base = records(count, of: count, stream: 1)
    // Places all over the sequence: queries for what came early and late.
    var places = ShapeGenerator(seed: seed &+ 99)
    func spread(_ number: Int, stream: UInt64) -> [[Double]] {
      var generator = ShapeGenerator(seed: seed &* 1_000_003 &+ stream)
      return (0..<number).map { _ in
        var vector = source(places.below(count), count, &generator)
        if vector.allSatisfy({ $0 == 0 }) { vector[0] = 1 }
        return vector
      }
    }
    let size = Self.meanSize(base)
    func drifted(_ vectors: [[Double]]) -> [[Float]] {
      vectors.map { vector in
        vector.enumerated().map { place, value in
          Float(value * shape.drift.scale + (place % 2 == 0 ? 1 : -0.5) * shape.drift.shift * size)
        }
      }
    }
    func floats(_ vectors: [[Double]]) -> [[Float]] { vectors.map { $0.map { Float($0) } } }
    self.base = floats(base)
    fresh = floats(spread(count * 2 / 5, stream: 2))
    late = drifted(records(count / 2, of: count / 2, stream: 3))
    queries = floats(spread(queryCount, stream: 4))
    lateQueries = drifted(spread(queryCount, stream: 5))
  }

  private static func meanSize(_ vectors: [[Double]]) -> Double {
    var sum = 0.0
    for vector in vectors.prefix(200) {
      for value in vector { sum += abs(value) }
    }
    return sum / Double(max(1, vectors.prefix(200).count * (vectors.first?.count ?? 1)))
  }
}
