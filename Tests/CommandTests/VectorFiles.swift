import Foundation

/// Files of vectors in every format, for tests.
enum VectorFiles {
  /// Repeatable vectors with one decimal, so that they are short in JSON.
  static func vectors(_ count: Int, dimensions: Int, seed: UInt64 = 1) -> [[Float]] {
    var state = seed
    return (0..<count).map { _ in
      (0..<dimensions).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int(state >> 33) % 2000 - 1000) / 10
      }
    }
  }

  /// Repeatable vectors of whole numbers from 0 to 255.
  static func byteVectors(_ count: Int, dimensions: Int, seed: UInt64 = 1) -> [[UInt8]] {
    vectors(count, dimensions: dimensions, seed: seed).map { row in
      row.map { UInt8(truncatingIfNeeded: Int($0 * 10)) }
    }
  }

  static func fvecs(_ rows: [[Float]]) -> Data {
    var data = Data()
    for row in rows {
      append(UInt32(row.count), to: &data)
      for value in row { append(value.bitPattern, to: &data) }
    }
    return data
  }

  static func bvecs(_ rows: [[UInt8]]) -> Data {
    var data = Data()
    for row in rows {
      append(UInt32(row.count), to: &data)
      data.append(contentsOf: row)
    }
    return data
  }

  static func ivecs(_ rows: [[Int32]]) -> Data {
    var data = Data()
    for row in rows {
      append(UInt32(row.count), to: &data)
      for value in row { append(UInt32(bitPattern: value), to: &data) }
    }
    return data
  }

  /// A NumPy array: `type` such as `<f4`, `body` its rows.
  static func npy(rows: Int, columns: Int, type: String, body: Data, fortran: Bool = false) -> Data
  {
    npy(rows: rows, columns: columns, header: "'\(type)'", body: body, fortran: fortran)
  }

  /// As above; `header` is the element type as Python writes it.
  static func npy(rows: Int, columns: Int, header: String, body: Data, fortran: Bool = false)
    -> Data
  {
    let order = fortran ? "True" : "False"
    var header = "{'descr': \(header), 'fortran_order': \(order), 'shape': (\(rows), \(columns)), }"
    while (header.utf8.count + 11) % 64 != 0 { header += " " }
    header += "\n"
    var data = Data([0x93] + Array("NUMPY".utf8) + [1, 0])
    data.append(UInt8(header.utf8.count & 255))
    data.append(UInt8(header.utf8.count >> 8))
    data.append(contentsOf: header.utf8)
    return data + body
  }

  static func npy(_ rows: [[Float]]) -> Data {
    var body = Data()
    for value in rows.joined() { append(value.bitPattern, to: &body) }
    return npy(rows: rows.count, columns: rows.first?.count ?? 0, type: "<f4", body: body)
  }

  static func jsonLines(_ rows: [[Float]], metadata: (Int) -> String = { _ in "{}" }) -> String {
    rows.enumerated().map { index, row in
      let numbers = row.map { "\($0)" }.joined(separator: ",")
      return "{\"key\":\"\(index)\",\"vector\":[\(numbers)],\"metadata\":\(metadata(index))}\n"
    }.joined()
  }

  private static func append(_ value: UInt32, to data: inout Data) {
    withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) }
  }
}
