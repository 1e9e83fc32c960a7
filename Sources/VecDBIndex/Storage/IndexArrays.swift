/// The row arrays of a generation. Names and strides are part of the format.
final class IndexArrays: Sendable {
  /// Slots at most: ids travel with a flag bit beside them.
  static let slotLimit = Int(Int32.max) - 1
  /// An unused link, parent or exact row.
  static let none = UInt32.max

  /// Codes, one row a slot, zero padded to whole cache lines; none of slots that came after the
  /// generation went over to the float32 rows.
  let codes: RowArray
  /// |x|² - 256 Σx of the codes; under `.dot` (zeroCode - 128) Σx (UInt32, wrapping).
  let rowTerms: RowArray
  /// `.dot` only: what a row's codes are multiplied with (UInt32; see `Quantizer`).
  let weights: RowArray?
  /// Layer 0: 2M slots per node, used ones first, then `none`.
  let links: RowArray
  /// Upper layers: M slots per (node, level), likewise.
  let upperLinks: RowArray
  /// Per slot: first row in `upperLinks` << 4 | level (UInt32).
  let nodes: RowArray
  /// Per slot: the older node that keeps a link to it for ever; `none` for the root (UInt32).
  let parents: RowArray
  /// Per slot: its row in `exact`, or `none` where the codes say it all (UInt32).
  let exactRows: RowArray
  /// Vectors bit for bit as they came.
  let exact: RowArray
  /// `.cosine` only: 1 / |x| (Double).
  let inverseNorms: RowArray?
  /// Per slot: LSN of birth, LSN of death or UInt64.max (two UInt64).
  let lifetimes: RowArray
  /// Per slot: the record's hash (32 bytes).
  let hashes: RowArray
  /// Per slot: offset << 16 | length in `keyBytes` (UInt64).
  let keyReferences: RowArray
  let keyBytes: RowArray

  init(parameters: IndexParameters, slotLimit wanted: Int?) throws(IndexError) {
    let maximum = IndexOptions.reservationBytesMaximum
    let slots = min(
      Self.slotLimit, wanted ?? max(1 << 16, maximum / parameters.codeStrideBytes))
    func array(
      _ name: String, _ stride: Int, _ rows: Int
    ) throws(IndexError) -> RowArray {
      try RowArray(name: name, strideBytes: stride, rowLimit: rows, maximumBytes: maximum)
    }
    codes = try array("codes", parameters.codeStrideBytes, slots)
    rowTerms = try array("rowTerms", 4, slots)
    weights = parameters.metric == .dot ? try array("weights", 4, slots) : nil
    links = try array("links", parameters.baseDegree * 4, slots)
    // One node in M has an upper row for each level: a quarter of all is beyond any chance.
    upperLinks = try array("upperLinks", parameters.degree * 4, max(1 << 16, slots / 2))
    nodes = try array("nodes", 4, slots)
    parents = try array("parents", 4, slots)
    exactRows = try array("exactRows", 4, slots)
    exact = try array("exact", parameters.exactStrideBytes, slots)
    inverseNorms = parameters.metric == .cosine ? try array("inverseNorms", 8, slots) : nil
    lifetimes = try array("lifetimes", 16, slots)
    hashes = try array("hashes", 32, slots)
    keyReferences = try array("keyReferences", 8, slots)
    keyBytes = try array("keyBytes", 1, slots * Birth.maximumKeyBytes)
  }

  /// One row per slot each, and so have the codes while they are used.
  var perSlot: [RowArray] {
    [rowTerms] + (weights.map { [$0] } ?? []) + [links, nodes, parents, exactRows]
      + (inverseNorms.map { [$0] } ?? []) + [lifetimes, hashes, keyReferences]
  }

  /// All, in the order of the format.
  var all: [RowArray] { [codes] + perSlot + [upperLinks, exact, keyBytes] }

  /// Those that the graph digest covers.
  var graph: [RowArray] {
    [codes, rowTerms] + (weights.map { [$0] } ?? []) + [links, upperLinks, nodes, parents]
  }
}
