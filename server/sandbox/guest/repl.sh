# The bash interpreter of a session. Requests come on descriptor 3, four NUL-ended fields each: token, what to
# evaluate before (the call's environment), the code, what to evaluate after. The answer is "token status".
while IFS= read -r -d '' -u 3 __token && IFS= read -r -d '' -u 3 __before &&
    IFS= read -r -d '' -u 3 __code && IFS= read -r -d '' -u 3 __after; do
    eval "$__before"
    eval "$__code" 3>&- </dev/null
    __status=$?
    eval "$__after"
    printf '%s %d\0' "$__token" "$__status" >&3
done
