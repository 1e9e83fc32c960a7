import VecDBBytes
import VecDBIndex

extension VectorCodes {
  var indexCodes: IndexParameters.Codes {
    switch self {
    case .automatic: .automatic
    case .bytes: .bytes
    case .float32: .rows
    }
  }

  init(_ codes: IndexParameters.Codes) {
    switch codes {
    case .automatic: self = .automatic
    case .bytes: self = .bytes
    case .rows: self = .float32
    }
  }
}

extension IndexOptions {
  /// UInt16 M, UInt16 codes (0 bytes, 1 automatic, 2 float32), UInt32 efConstruction. Version 0.1
  /// wrote UInt32 M, so that its indexes read as having bytes. Values that do not fit are written as
  /// the largest that do, which reading refuses.
  func encode(to writer: inout ByteWriter) {
    writer.write(UInt16(clamping: m))
    writer.write(UInt16(codes.indexCodes.rawValue))
    writer.write(UInt32(clamping: efConstruction))
  }

  init(from reader: inout ByteReader) throws {
    let m = Int(try reader.read(UInt16.self, "M"))
    guard
      let codes = IndexParameters.Codes(
        rawValue: UInt8(clamping: try reader.read(UInt16.self, "codes")))
    else { throw reader.failure("codes") }
    let efConstruction = Int(try reader.read(UInt32.self, "efConstruction"))
    guard IndexParameters.degreeRange.contains(m) else { throw reader.failure("M") }
    guard IndexParameters.efConstructionRange.contains(efConstruction) else {
      throw reader.failure("efConstruction")
    }
    self.init(m: m, efConstruction: efConstruction, codes: VectorCodes(codes))
  }
}
