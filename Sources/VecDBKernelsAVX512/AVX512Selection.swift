import CVecDBShims

#if arch(x86_64)

  /// `KernelSet.selectIDs` with gathers of sixteen.
  package func avx512SelectIDs(
    _ ids: UnsafePointer<UInt32>, _ words: Int, _ table: UnsafePointer<UInt32>, _ limit: UInt32,
    _ out: UnsafeMutablePointer<UInt64>
  ) {
    vecdb_select_ids_avx512(ids, words, table, limit, out)
  }

#endif
