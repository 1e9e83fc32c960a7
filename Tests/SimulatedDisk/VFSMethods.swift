import CVecDBSQLite
import VecDBFiles

/// The functions that SQLite calls on an open file; each finds its `VFSFile` and turns its errors
/// into SQLite's codes.
enum VFSMethods {
  nonisolated(unsafe) static let shared = table(version: 2)
  nonisolated(unsafe) static let withoutSharedMemory = table(version: 1)

  private static func table(version: Int32) -> UnsafePointer<sqlite3_io_methods> {
    var methods = sqlite3_io_methods()
    methods.iVersion = version
    methods.xClose = { file in
      guard let file, let object = VFSFile.of(file) else { return SQLITE_OK }
      object.close()
      VFSFile.remove(from: file)
      return SQLITE_OK
    }
    methods.xRead = read
    methods.xWrite = { file, bytes, count, offset in
      code(of: file, IOErrorCode.write) {
        try $0.write(UnsafeRawBufferPointer(start: bytes, count: Int(count)), at: Int(offset))
      }
    }
    methods.xTruncate = { file, size in
      code(of: file, IOErrorCode.truncate) { try $0.truncate(to: Int(size)) }
    }
    methods.xSync = { file, _ in
      // As on Unix: a sync that finds no space is an error like any other.
      let result = code(of: file, IOErrorCode.sync) { try $0.sync() }
      return result == SQLITE_FULL ? IOErrorCode.sync : result
    }
    methods.xFileSize = { file, size in
      code(of: file, IOErrorCode.size) { size?.pointee = sqlite3_int64(try $0.sizeBytes()) }
    }
    methods.xLock = { file, level in VFSFile.of(file)?.lock(level) ?? IOErrorCode.lock }
    methods.xUnlock = { file, level in
      VFSFile.of(file)?.unlock(level)
      return SQLITE_OK
    }
    methods.xCheckReservedLock = { file, result in
      result?.pointee = VFSFile.of(file)?.isReserved() == true ? 1 : 0
      return SQLITE_OK
    }
    methods.xFileControl = control
    methods.xSectorSize = { file in VFSFile.of(file)?.sectorSizeBytes ?? 4096 }
    methods.xDeviceCharacteristics = { file in VFSFile.of(file)?.characteristics ?? 0 }
    if version >= 2 {
      methods.xShmMap = { file, index, size, extend, out in
        guard let object = VFSFile.of(file) else { return IOErrorCode.sharedMemoryMap }
        var region: UnsafeMutableRawPointer?
        let result = object.region(
          Int(index), sizeBytes: Int(size), extend: extend != 0, &region)
        out?.pointee = region
        return result
      }
      methods.xShmLock = { file, first, count, flags in
        VFSFile.of(file)?.lockSharedMemory(first: first, count: count, flags: flags)
          ?? IOErrorCode.sharedMemoryLock
      }
      // Taking and leaving the disk's lock is a barrier.
      methods.xShmBarrier = { file in _ = VFSFile.of(file)?.isReserved() }
      methods.xShmUnmap = { file, _ in
        VFSFile.of(file)?.unmapSharedMemory()
        return SQLITE_OK
      }
    }
    let result = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
    result.initialize(to: methods)
    return UnsafePointer(result)
  }
}

private func code(
  of file: UnsafeMutablePointer<sqlite3_file>?, _ failure: Int32,
  _ body: (VFSFile) throws -> Void
) -> Int32 {
  guard let object = VFSFile.of(file) else { return failure }
  do {
    try body(object)
    return SQLITE_OK
  } catch let error as StoreError where error.kind == .diskFull {
    return SQLITE_FULL
  } catch {
    return failure
  }
}

private let read:
  @convention(c) (
    UnsafeMutablePointer<sqlite3_file>?, UnsafeMutableRawPointer?, Int32, sqlite3_int64
  ) -> Int32 = { file, out, count, offset in
    let buffer = UnsafeMutableRawBufferPointer(start: out, count: Int(count))
    var done = 0
    let result = code(of: file, IOErrorCode.read) {
      done = try $0.read(buffer, at: Int(offset))
    }
    guard result == SQLITE_OK, done < buffer.count else { return result }
    // SQLite demands zeros where the file has ended.
    UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      .initializeMemory(as: UInt8.self, repeating: 0)
    return IOErrorCode.shortRead
  }

private let control:
  @convention(c) (
    UnsafeMutablePointer<sqlite3_file>?, Int32, UnsafeMutableRawPointer?
  ) -> Int32 = { file, operation, argument in
    guard let object = VFSFile.of(file),
      let value = argument?.assumingMemoryBound(to: Int32.self)
    else { return SQLITE_NOTFOUND }
    switch operation {
    case SQLITE_FCNTL_PERSIST_WAL:
      if value.pointee < 0 {
        value.pointee = object.keepsWAL
      } else {
        object.keepsWAL = value.pointee == 0 ? 0 : 1
      }
      return SQLITE_OK
    case SQLITE_FCNTL_POWERSAFE_OVERWRITE:
      if value.pointee < 0 { value.pointee = object.characteristics == 0 ? 0 : 1 }
      return SQLITE_OK
    default: return SQLITE_NOTFOUND
    }
  }
