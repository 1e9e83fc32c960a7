import VecDBBytes

/// What is chosen once for a generation of an index and fixed for its life.
package struct IndexParameters: Sendable, Hashable {
  /// How nearness is measured. Raw values are part of the format.
  package enum Metric: UInt8, Sendable, CaseIterable {
    /// Squared Euclidean distance.
    case l2 = 1
    /// 1 - cosine of the angle. A zero vector has none and is refused.
    case cosine = 2
    /// The negated inner product.
    case dot = 3
    /// The number of components that differ, of vectors of zeros and ones. A code is a bit.
    case hamming = 4
  }

  /// What the graph is built and searched on. Raw values are part of the format.
  package enum Codes: UInt8, Sendable, CaseIterable {
    /// 8-bit codes with one scale for all components, whatever the data. Generations of version 0.1.
    case bytes = 0
    /// 8-bit codes while measurements say that they order records as the vectors do; the float32
    /// rows from the batch on where they do not (see `CodeFit`).
    case automatic = 1
    /// The float32 rows.
    case rows = 2
  }

  package static let dimensionsRange = 1...65_536
  package static let degreeRange = 4...64
  package static let efConstructionRange = 8...4_096

  package let dimensions: Int
  package let metric: Metric
  /// M of the HNSW paper: the capacity of a node's row in the upper layers. A row of layer 0 holds
  /// twice as many, and a new node chooses half as many again for it.
  package let degree: Int
  /// Candidates that an insertion keeps while it searches for neighbours.
  package let efConstruction: Int
  /// Pruning slack, as a fraction: candidate c of x is occluded by a chosen y when
  /// `alpha * d(y, c) <= d(x, c)` (squared distances). Above 1 keeps longer edges.
  package let alphaNumerator: UInt32
  package let alphaDenominator: UInt32
  /// Seeds the level of every slot.
  package let seed: UInt64
  package let codes: Codes

  /// Throws `.invalidParameter` naming the value and its range.
  package init(
    dimensions: Int, metric: Metric, degree: Int = 16, efConstruction: Int = 128,
    alphaNumerator: UInt32 = 11, alphaDenominator: UInt32 = 10,
    seed: UInt64 = 0x9e37_79b9_7f4a_7c15, codes: Codes = .automatic
  ) throws(IndexError) {
    guard Self.dimensionsRange.contains(dimensions) else {
      throw .invalidParameter("dimensions \(dimensions), allowed are 1...65536")
    }
    guard Self.degreeRange.contains(degree) else {
      throw .invalidParameter("m \(degree), allowed are 4...64")
    }
    guard Self.efConstructionRange.contains(efConstruction) else {
      throw .invalidParameter("efConstruction \(efConstruction), allowed are 8...4096")
    }
    guard (1...1_000).contains(alphaDenominator), alphaNumerator >= alphaDenominator,
      alphaNumerator <= alphaDenominator * 4
    else {
      throw .invalidParameter(
        "alpha \(alphaNumerator)/\(alphaDenominator), allowed are 1 to 4, denominator 1...1000")
    }
    self.dimensions = dimensions
    self.metric = metric
    self.degree = degree
    self.efConstruction = efConstruction
    self.alphaNumerator = alphaNumerator
    self.alphaDenominator = alphaDenominator
    self.seed = seed
    self.codes = codes
  }

  /// Bytes of one row of codes: a byte, or under `.hamming` a bit, per dimension, padded to whole
  /// cache lines.
  var codeStrideBytes: Int {
    metric == .hamming ? ((dimensions + 511) & ~511) / 8 : (dimensions + 63) & ~63
  }
  /// Bytes of one row of exact values, padded to whole cache lines.
  var exactStrideBytes: Int { (dimensions * 4 + 63) & ~63 }
  /// Links in a row of layer 0.
  var baseDegree: Int { degree * 2 }

  /// Candidates that an insertion keeps in fact. Under the inner product, where what is near may
  /// have few links to each other, half as many again; not in indexes of version 0.1.
  var buildWidth: Int {
    metric == .dot && codes != .bytes ? efConstruction * 3 / 2 : efConstruction
  }

  // MARK: Encoding

  /// The version that has no codes: they are `.bytes`.
  private static let firstVersion: UInt16 = 1
  private static let version: UInt16 = 2

  /// Version, then the fields in order of declaration: 32 bytes. With the codes of version 0.1,
  /// version 1, which ends before them.
  package func encode() -> [UInt8] {
    var writer = ByteWriter(reservingCapacity: 36)
    writer.write(codes == .bytes ? Self.firstVersion : Self.version)
    writer.write(UInt32(dimensions))
    writer.write(metric.rawValue)
    writer.write(UInt32(degree))
    writer.write(UInt32(efConstruction))
    writer.write(alphaNumerator)
    writer.write(alphaDenominator)
    writer.write(seed)
    if codes != .bytes { writer.write(codes.rawValue) }
    return writer.bytes
  }

  /// Reads what `encode` wrote; throws `.unknownVersion`, `.corruptState` or `.invalidParameter`.
  package init(decoding bytes: [UInt8]) throws(IndexError) {
    let fields = try Self.fields(of: bytes)
    guard let metric = Metric(rawValue: fields.metric) else {
      throw .corruptState("metric \(fields.metric) is unknown")
    }
    guard let codes = Codes(rawValue: fields.codes) else {
      throw .corruptState("codes \(fields.codes) are unknown")
    }
    try self.init(
      dimensions: fields.dimensions, metric: metric, degree: fields.degree,
      efConstruction: fields.efConstruction, alphaNumerator: fields.alpha.0,
      alphaDenominator: fields.alpha.1, seed: fields.seed, codes: codes)
  }

  private struct Fields {
    var dimensions, degree, efConstruction: Int
    var metric: UInt8
    var alpha: (UInt32, UInt32)
    var seed: UInt64
    var codes: UInt8
  }

  private static func fields(of bytes: [UInt8]) throws(IndexError) -> Fields {
    do {
      return try bytes.withUnsafeBytes { buffer in
        var reader = ByteReader(buffer)
        let version = try reader.read(UInt16.self, "parameter version")
        guard version == Self.version || version == Self.firstVersion else {
          throw IndexError.unknownVersion(version)
        }
        let dimensions = Int(try reader.read(UInt32.self, "dimensions"))
        let metric = try reader.read(UInt8.self, "metric")
        let degree = Int(try reader.read(UInt32.self, "m"))
        let efConstruction = Int(try reader.read(UInt32.self, "efConstruction"))
        let alpha = (
          try reader.read(UInt32.self, "alpha"), try reader.read(UInt32.self, "alpha")
        )
        let seed = try reader.read(UInt64.self, "seed")
        let codes =
          version == Self.firstVersion
          ? Codes.bytes.rawValue : try reader.read(UInt8.self, "codes")
        try reader.expectEnd("end of parameters")
        return Fields(
          dimensions: dimensions, degree: degree, efConstruction: efConstruction,
          metric: metric, alpha: alpha, seed: seed, codes: codes)
      }
    } catch let error as IndexError {
      throw error
    } catch {
      throw .corruptState("parameters: \(error)")
    }
  }
}
